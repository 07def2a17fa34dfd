"""`TargetScaler` against the definitions of mean and population standard deviation."""

import json
import statistics

import numpy as np
import pytest

from crystalformer.data.targets import TargetScaler


def test_statistics_are_those_of_the_standard_library() -> None:
    values = [[1.0, 10.0], [2.0, 30.0], [6.0, 20.0]]
    scaler = TargetScaler.fit(np.array(values), ["eV", None])
    for column, (mean, std) in enumerate(zip(scaler.means, scaler.stds, strict=True)):
        ours = [row[column] for row in values]
        assert mean == pytest.approx(statistics.fmean(ours), rel=1e-15)
        assert std == pytest.approx(statistics.pstdev(ours), rel=1e-15)
    assert scaler.units == ("eV", None)


def test_scaled_training_targets_have_mean_0_and_std_1_and_come_back() -> None:
    values = np.random.default_rng(0).normal(5, 3, (100, 2))
    scaler = TargetScaler.fit(values, "eV")
    scaled = scaler.scale(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-13)
    np.testing.assert_allclose(scaler.unscale(scaled), values, rtol=1e-13)
    assert scaler.units == ("eV", "eV")


def test_missing_values_stay_missing_when_scaled() -> None:
    scaler = TargetScaler.fit(np.array([[1.0], [3.0]]))
    np.testing.assert_array_equal(scaler.scale(np.array([[np.nan], [4.0]])), [[np.nan], [2.0]])


def test_json_round_trip_is_exact() -> None:
    scaler = TargetScaler.fit(np.random.default_rng(1).normal(size=(7, 2)), ["eV", None])
    assert TargetScaler.from_dict(json.loads(json.dumps(scaler.to_dict()))) == scaler
    with pytest.raises(ValueError, match="expected the keys means, stds, units, got means"):
        TargetScaler.from_dict({"means": [0.0]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0.1], [0.1], [0.1]], "expected values that differ, got 0.1 for all 3 crystals in target 0"),
        ([[1.0, 2.0]], "expected values that differ"),
        ([[1.0, 2.0], [2.0, np.nan]], "got NaN or infinity for 1 of them in target 1"),
        ([[1.0], [np.inf]], "got NaN or infinity"),
        (np.empty((0, 1)), r"expected shape \(crystals, targets\)"),
        ([1.0, 2.0], r"expected shape \(crystals, targets\), got \(2,\)"),
    ],
)
def test_unusable_training_targets(values, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TargetScaler.fit(np.array(values), "eV")


def test_wrong_number_of_targets_or_units() -> None:
    scaler = TargetScaler.fit(np.array([[1.0, 2.0], [2.0, 4.0]]))
    with pytest.raises(ValueError, match=r"expected 2 targets on the last axis, got shape \(5, 1\)"):
        scaler.scale(np.zeros((5, 1)))
    with pytest.raises(ValueError, match="one mean, std and unit per target, got 2, 2 and 1"):
        TargetScaler.fit(np.array([[1.0, 2.0], [2.0, 4.0]]), ["eV"])
