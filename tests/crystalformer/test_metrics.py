"""Metrics against worked examples."""

import math

import numpy as np
import pytest

from crystalformer.metrics import mad, mae, r2, rmse


def test_worked_example() -> None:
    true, predicted = [1.0, 2.0, 3.0, 6.0], [2.0, 2.0, 1.0, 7.0]  # errors 1, 0, 2, 1; mean of true 3
    assert mae(true, predicted) == 1.0
    assert rmse(true, predicted) == pytest.approx(math.sqrt(6 / 4), rel=1e-15)
    assert r2(true, predicted) == pytest.approx(1 - 6 / 14, rel=1e-15)
    assert mad(true) == 1.5


def test_predicting_the_mean_scores_mad_and_zero() -> None:
    true = np.random.default_rng(0).normal(3, 2, 100)
    guess = np.full(100, true.mean())
    assert mae(true, guess) == pytest.approx(mad(true), rel=1e-12)
    assert rmse(true, guess) == pytest.approx(true.std(), rel=1e-12)
    assert r2(true, guess) == pytest.approx(0, abs=1e-12)
    assert r2(true, true) == 1
    assert mae(true, true) == 0


def test_single_precision_input_is_summed_in_double() -> None:
    true = np.full(1000, 1e8, dtype=np.float32)
    assert mae(true, true + np.float32(8)) == 8.0


def test_r2_is_undefined_where_nothing_varies() -> None:
    assert math.isnan(r2([0.1, 0.1, 0.1], [0.0, 0.1, 0.2]))
    assert math.isnan(r2([2.0], [1.0]))


@pytest.mark.parametrize("metric", [mae, rmse, r2])
def test_unusable_values(metric) -> None:
    with pytest.raises(ValueError, match=r"y_pred: expected finite values, got nan at position 1 \(1 of 2"):
        metric([1.0, 2.0], [1.0, np.nan])
    with pytest.raises(ValueError, match="y_true: expected finite values, got inf"):
        metric([np.inf, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"y_pred: expected the shape of y_true, \(2,\), got \(2, 1\)"):
        metric([1.0, 2.0], [[1.0], [2.0]])
    with pytest.raises(ValueError, match="y_true: expected at least one value, got none"):
        metric([], [])
