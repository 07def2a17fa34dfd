"""Uncertainties: coverage is what it is called, a useless spread is not believed, one seed is enough."""

import math

import numpy as np
import pytest

from suite.prediction.calibration import COVERAGE, Calibration


def drawn(rng: np.random.Generator, crystals: int, informative: bool) -> tuple[np.ndarray, np.ndarray]:
    """Errors and spreads; the spread is the scale of the error, or has nothing to do with it."""
    spreads = rng.lognormal(-3, 0.8, crystals)
    scales = spreads if informative else np.full(crystals, 0.1)
    return np.abs(rng.normal(0, 3 * scales)), spreads


@pytest.mark.parametrize("informative", [True, False])
def test_the_intervals_cover_what_they_say(informative: bool) -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        calibration = Calibration.fit(*drawn(rng, 60, informative))
        errors, spreads = drawn(rng, 200, informative)
        covered.append(np.mean(errors <= calibration.uncertainty(spreads)))
    # at least c, at most c + 1/(n + 1); the floor is fitted to the same crystals and takes a little of it
    assert COVERAGE - 0.02 < np.mean(covered) < COVERAGE + 0.03


def test_a_spread_that_says_nothing_is_drowned_and_one_that_says_all_is_followed() -> None:
    rng = np.random.default_rng(1)
    ratio = {}
    for informative in (True, False):
        errors, spreads = drawn(rng, 2000, informative)
        wide, narrow = Calibration.fit(errors, spreads).uncertainty(np.quantile(spreads, [0.9, 0.1]))
        ratio[informative] = wide / narrow
    assert ratio[True] > 5
    assert ratio[False] < 1.2


def test_one_seed_has_the_same_uncertainty_everywhere() -> None:
    errors = np.arange(1.0, 101.0)
    calibration = Calibration.fit(errors, np.zeros(100))
    found = calibration.uncertainty(np.zeros(3))
    assert found.tolist() == [math.ceil(101 * COVERAGE)] * 3


def test_few_crystals_give_the_largest_error_and_none_are_refused() -> None:
    assert Calibration.fit(np.array([0.2, 0.1]), np.zeros(2)).uncertainty(np.zeros(1))[0] == 0.2
    with pytest.raises(ValueError, match="at least one validation prediction"):
        Calibration.fit(np.array([]), np.array([]))


def test_perfect_predictions_have_no_uncertainty() -> None:
    found = Calibration.fit(np.zeros(5), np.ones(5)).uncertainty(np.ones(2))
    assert found.tolist() == [0, 0]
