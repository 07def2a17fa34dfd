"""The noise of an ablation's runs: a textbook's table, least squares against means, and how often it errs."""

import numpy as np
import pandas as pd
import pytest

from reports.ablation.noise import noise
from reports.recompute.noise import interval_and_p, within_rows, within_rows_and_columns

FACTORS = ["treatment"]
# Penicillin yields, four treatments in five blends (Box, Hunter, Hunter, Statistics for Experimenters, 1978).
PENICILLIN = [[89, 88, 97, 94], [84, 77, 92, 79], [81, 87, 87, 85], [87, 92, 89, 84], [79, 81, 80, 88]]


def series(table: np.ndarray) -> pd.Series:
    """Seeds x configurations; NaN: no run."""
    frame = pd.DataFrame(table).rename_axis(index="seed", columns="treatment")
    return frame.stack().dropna()


def test_randomised_blocks_of_a_textbook() -> None:
    found = noise(series(np.array(PENICILLIN)), FACTORS, ["seed"])
    assert found.variance == pytest.approx(226 / 12)
    assert found.degrees == 12
    low, high, p = found.test(mean=5.0, runs=2 / 5)  # of treatments C and A
    half = 2.178813 * np.sqrt(2 * 226 / 12 / 5)
    assert (low, high) == pytest.approx((5 - half, 5 + half), rel=1e-6)
    assert 0.05 < p < 0.1


@pytest.mark.parametrize("seed", range(6))
def test_the_fit_is_what_taking_means_away_leaves(seed: int) -> None:
    """With runs missing at random, also where this parts the design in two."""
    rng = np.random.default_rng(seed)
    table = rng.normal(0.05, 0.004, (4, 7)) + rng.normal(0, 0.1, (4, 1))
    table[rng.random((4, 7)) < 0.3] = np.nan
    if seed > 3:
        table[:2, :3] = table[2:, 3:] = np.nan
    values = series(table)
    by_place = {((int(point),), int(block)): value for (block, point), value in values.items()}
    for found, again in (
        (noise(values, FACTORS, ["seed"]), within_rows_and_columns(by_place)),
        (noise(values, FACTORS), within_rows(by_place)),
    ):
        assert found.degrees == again[1] > 0
        assert found.variance == pytest.approx(again[0], rel=1e-9)
        assert found.test(0.003, 0.5) == pytest.approx(
            interval_and_p(0.003, again[0] / 2, again[1]), rel=1e-9
        )


def test_without_an_effect_one_in_twenty_is_found() -> None:
    """Three seeds, 9 configurations, differences of the seeds that are far larger than the noise."""
    rng = np.random.default_rng(3)
    p_values = []
    for _ in range(400):
        table = rng.normal(0, 0.001, (3, 9)) + rng.normal(0.05, 0.01, (3, 1))
        found = noise(series(table), FACTORS, ["seed"])
        p_values.append(found.test(float((table[:, 1] - table[:, 0]).mean()), 2 / 3)[2])
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.08  # 2.75 standard deviations of the count
    assert 0.42 < np.mean(np.array(p_values) < 0.5) < 0.58


def test_rounding_is_no_noise_and_one_run_says_nothing() -> None:
    table = 0.1 + np.array([[0.01], [0.02], [0.03]]) + np.array([[0.0, 1e-3, 7e-3]])
    found = noise(series(table), FACTORS, ["seed"])
    assert (found.variance, found.degrees) == (0, 4)
    assert found.test(0.001, 2 / 3) == (0.001, 0.001, 0)
    assert found.test(0.0, 2 / 3) == (0, 0, 1)
    alone = noise(series(np.array([[0.1], [0.2]])), FACTORS, ["seed"])
    assert alone.degrees == 0
    assert np.isnan([alone.variance, *alone.test(0.1, 1)]).all()
