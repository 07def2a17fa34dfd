"""The floors: features of a composition by hand, what they do not see, and a forest that repeats itself."""

import numpy as np
import pytest

from baselines.features.atom_table import BLOCKS
from baselines.floors import ForestConfig, composition_features, fit_forest, predict_forest

PROPERTIES = ("number", *BLOCKS)


def features_of(*crystals: list[int]) -> np.ndarray:
    offsets = np.concatenate([[0], np.cumsum([len(crystal) for crystal in crystals])])
    return composition_features(np.concatenate(crystals), offsets)


def statistics(features: np.ndarray) -> dict[str, dict[str, float]]:
    """Property -> statistic -> value, of one crystal."""
    parts = features[118:].reshape(4, len(PROPERTIES))
    names = ("mean", "sd", "min", "max")
    return {name: dict(zip(names, parts[:, column], strict=True)) for column, name in enumerate(PROPERTIES)}


def test_features_of_water_by_hand() -> None:
    """H: period bin 0, electronegativity bin 4; O: period bin 1, electronegativity bin 8."""
    (row,) = features_of([1, 8, 1])
    assert {z + 1: row[z] for z in np.flatnonzero(row[:118])} == {
        1: pytest.approx(2 / 3),
        8: pytest.approx(1 / 3),
    }
    found = statistics(row)
    assert found["number"] == {
        "mean": pytest.approx(10 / 3),
        "sd": pytest.approx(np.std([1, 8, 1]), rel=1e-5),
        "min": 1,
        "max": 8,
    }
    assert found["period"]["mean"] == pytest.approx(1 / 3)
    assert (found["electronegativity"]["min"], found["electronegativity"]["max"]) == (4, 8)


def test_a_property_without_a_value_lies_below_all_others() -> None:
    helium, heavy = features_of([2], [118])
    assert statistics(helium)["electronegativity"]["min"] == -1
    found = statistics(heavy)
    assert (heavy[117], found["number"]["mean"]) == (1, 118)
    assert {found[name]["max"] for name in BLOCKS} == {-1}


def test_order_and_number_of_formula_units_do_not_matter() -> None:
    rows = features_of([22, 8, 8], [8, 22, 8], [8, 8, 8, 8, 22, 22], [8, 8, 22] * 5)
    assert (rows == rows[0]).all()


def test_a_crystal_is_described_by_itself() -> None:
    together = features_of([1], [26, 8], [11, 17])
    alone = np.concatenate([features_of([1]), features_of([26, 8]), features_of([11, 17])])
    assert (together == alone).all()


@pytest.mark.parametrize("number", [0, 119])
def test_what_is_no_element_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="numbers: expected Z from 1 to 118"):
        features_of([8, number])


def test_an_empty_crystal_is_refused() -> None:
    with pytest.raises(ValueError, match="offsets: expected at least one atom in every crystal, got 0"):
        composition_features(np.array([1, 2]), np.array([0, 2, 2]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trees": 0}, "trees: expected a whole number of at least 1, got 0"),
        ({"max_features": 0.0}, r"max_features: expected a part in \(0, 1\], got 0.0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ForestConfig(**settings)


def test_the_forest_learns_and_repeats_itself() -> None:
    rng = np.random.default_rng(0)
    crystals = [rng.integers(1, 90, rng.integers(1, 6)).tolist() for _ in range(300)]
    features = features_of(*crystals)
    values = np.array([np.mean(crystal) / 30 for crystal in crystals])
    config = ForestConfig(trees=20)

    def predicted(seed: int, jobs: int) -> np.ndarray:
        forest = fit_forest(features[:200], values[:200], seed, config, jobs)
        return predict_forest(forest, features[200:])

    first = predicted(0, 1)
    error = np.abs(first - values[200:]).mean()
    assert error < 0.5 * np.abs(values[:200].mean() - values[200:]).mean()
    assert (predicted(0, 2) == first).all()
    assert (predicted(1, 1) != first).any()
