"""Errors of predictions: the only definitions, used in training and in reports.

All functions take two arrays of the same shape, compute in float64 and return a float in the unit of
the values (R² has none). An infinite or NaN value is an error: a mean over the remaining values would
look like a result.
"""

import numpy as np
from numpy.typing import ArrayLike


def mae(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean absolute error, mean of |y - ŷ|.

    Raises:
        ValueError: shapes differ, there are no values, or one is not finite.
    """
    true, predicted = _pair(y_true, y_pred)
    return float(np.abs(true - predicted).mean())


def rmse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Root mean square error, sqrt(mean of (y - ŷ)²). Raises ValueError as `mae` does."""
    true, predicted = _pair(y_true, y_pred)
    return float(np.sqrt(np.square(true - predicted).mean()))


def r2(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Coefficient of determination, 1 - sum (y - ŷ)² / sum (y - mean y)².

    NaN where all true values are equal (a single one included), since R² is not defined there.
    Raises ValueError as `mae` does.
    """
    true, predicted = _pair(y_true, y_pred)
    if np.all(true == true.flat[0]):
        return float("nan")
    spread = np.square(true - true.mean()).sum()
    return float(1 - np.square(true - predicted).sum() / spread)


def mad(values: ArrayLike) -> float:
    """Mean absolute deviation from the mean: the MAE of always predicting the mean of `values`.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    array = _finite("values", values)
    return float(np.abs(array - array.mean()).mean())


def _pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = _finite("y_true", y_true), _finite("y_pred", y_pred)
    if true.shape != predicted.shape:
        raise ValueError(f"y_pred: expected the shape of y_true, {true.shape}, got {predicted.shape}")
    return true, predicted


def _finite(name: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError(f"{name}: expected at least one value, got none")
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise ValueError(
            f"{name}: expected finite values, got {array.flat[wrong[0]]} at position {wrong[0]} "
            f"({len(wrong)} of {array.size} values are not finite)"
        )
    return array
