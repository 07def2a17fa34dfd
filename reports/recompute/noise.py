"""The noise of an ablation's runs once more, by taking means away, where the report solves for a fit."""

from collections.abc import Mapping

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import t

from reports.intervals import LEVEL

Point = tuple[int, ...]  # positions of the factors' values
Values = Mapping[tuple[Point, int], float]  # by row and column: by configuration and seed

CONVERGED = 1e-14  # largest mean that is left, in parts of the values
ROUNDING = 1e-12  # largest deviation that is none, in parts of the values


def within_rows_and_columns(values: Values) -> tuple[float, int]:
    """Variance that is left once rows and columns have mean 0, and its degrees of freedom."""
    rows, columns = _codes(values, 0), _codes(values, 1)
    left = np.array(list(values.values()))
    smallest = CONVERGED * np.abs(left).max()
    while any(np.abs(_means(left, codes)).max() > smallest for codes in (rows, columns)):
        for codes in (rows, columns):
            left = left - _means(left, codes)[codes]
    n_rows = rows.max() + 1
    size = n_rows + columns.max() + 1
    graph = coo_array((np.ones(len(left)), (rows, n_rows + columns)), shape=(size, size))
    return _variance(values, left, size - connected_components(graph, directed=False)[0])


def within_rows(values: Values) -> tuple[float, int]:
    """Variance that is left once rows have mean 0, and its degrees of freedom."""
    rows, left = _codes(values, 0), np.array(list(values.values()))
    return _variance(values, left - _means(left, rows)[rows], rows.max() + 1)


def interval_and_p(mean: float, variance: float, degrees: int) -> tuple[float, float, float]:
    """Ends of the interval of a difference with this variance, and the two-sided p that it is 0."""
    if not degrees:
        return float("nan"), float("nan"), float("nan")
    if variance == 0:
        return mean, mean, 1.0 if mean == 0 else 0.0
    chance = t(degrees, scale=variance**0.5)
    half = float(chance.ppf((1 + LEVEL) / 2))
    return mean - half, mean + half, float(2 * chance.sf(abs(mean)))


def _codes(values: Values, axis: int) -> np.ndarray:
    number = {key: i for i, key in enumerate(dict.fromkeys(place[axis] for place in values))}
    return np.array([number[place[axis]] for place in values])


def _means(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return np.bincount(codes, values) / np.bincount(codes)


def _variance(values: Values, left: np.ndarray, fitted: int) -> tuple[float, int]:
    degrees = len(left) - int(fitted)
    if not degrees:
        return float("nan"), 0
    largest = max(abs(value) for value in values.values())
    rounding = np.abs(left).max() <= ROUNDING * largest
    return 0.0 if rounding else float(np.sum(left**2)) / degrees, degrees
