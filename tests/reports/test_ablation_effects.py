"""What an ablation's effects are: known differences, SciPy as the oracle, and what is left out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ablation_folders import FACTORS, write_ablation
from scipy.stats import false_discovery_control, ttest_rel

from reports.ablation.effects import WEIGHTS, Effect, effects, noise_of, reference_errors
from reports.ablation.study import Study, studies
from reports.load import load
from reports.run_folder import ReportError

BETWEEN_SEEDS = (0.0, 0.01, -0.005)  # common to all runs of a seed, so that pairs do not see it
CHANGES = {("num_layers", 1): (0.010, 0.012, 0.011), ("norm", "pre"): (-0.001, 0.002, 0.001)}


def error(point: Mapping[str, Any], seed: int) -> float:
    """0.05 in the reference; each change adds what CHANGES says for the seed."""
    return 0.05 + BETWEEN_SEEDS[seed] + sum(CHANGES.get(item, (0, 0, 0))[seed] for item in point.items())


def study_of(run: Path) -> Study:
    (study,) = studies(load([run]))
    return study


def by_change(study: Study) -> dict[tuple[str, Any], Effect]:
    return {(effect.factor, effect.value): effect for effect in effects(study)}


def test_paired_differences_are_what_was_put_in(tmp_path: Path) -> None:
    study = study_of(write_ablation(tmp_path / "run", error))
    found = by_change(study)
    assert list(found) == [
        ("num_layers", 1),
        ("num_layers", 2),
        ("lattice_range", 1),
        ("lattice_range", "adaptive"),
        ("norm", "pre"),
    ]
    for change, effect in found.items():
        expected = CHANGES.get(change, (0, 0, 0))
        assert list(effect.differences) == [0, 1, 2]
        np.testing.assert_allclose(list(effect.differences.values()), expected, atol=1e-15)
        assert effect.mean == pytest.approx(np.mean(expected), abs=1e-15)
        assert effect.n == effect.planned == 3
    assert found["num_layers", 1].percent == pytest.approx(100 * 0.011 / (0.05 + 0.005 / 3))
    assert reference_errors(study).tolist() == pytest.approx([0.05, 0.06, 0.045])


def test_two_configurations_are_a_paired_t_test(tmp_path: Path) -> None:
    """SciPy's, with one variance for both as any test of two means has it."""
    values = np.random.default_rng(5).normal(0.05, 0.01, (2, 7))
    run = write_ablation(
        tmp_path / "run",
        lambda point, seed: float(values[int(point["num_layers"] == 1), seed]),
        factors={"num_layers": [4, 1]},
        seeds=tuple(range(7)),
    )
    (effect,) = effects(study_of(run))
    oracle = ttest_rel(values[1], values[0])
    interval = oracle.confidence_interval(0.95)
    assert (effect.mean, effect.low, effect.high, effect.p) == pytest.approx(
        ((values[1] - values[0]).mean(), interval.low, interval.high, oracle.pvalue), rel=1e-9
    )


def test_p_is_corrected_over_all_changes_of_a_study(tmp_path: Path) -> None:
    """Holm by its definition: p is the largest (m - i) p_i up to its own rank."""
    noise = np.random.default_rng(8).normal(0, 0.002, (3, 3, 3, 2))

    def noisy(point: Mapping[str, Any], seed: int) -> float:
        places = tuple(FACTORS[name].index(value) for name, value in point.items())
        return error(point, seed) + noise[(seed, *places)]

    study = study_of(write_ablation(tmp_path / "run", noisy))
    found = effects(study)
    raw = [noise_of(study).test(effect.mean, 2 / 3)[2] for effect in found]
    ranks = np.argsort(raw)
    stepped = np.maximum.accumulate([(len(raw) - i) * raw[index] for i, index in enumerate(ranks)])
    assert [found[index].p for index in ranks] == pytest.approx(np.minimum(stepped, 1))
    assert len(set(raw)) == 5
    weaker = false_discovery_control(raw)  # of the false discovery rate: never above Holm's
    assert all(effect.p >= other - 1e-12 for effect, other in zip(found, weaker, strict=True))


def test_main_effects_of_a_factorial_design(tmp_path: Path) -> None:
    """Over the other factors, an interaction is averaged: here half of the combinations have norm pre."""

    def interacting(point: Mapping[str, Any], seed: int) -> float:
        both = point["num_layers"] == 1 and point["norm"] == "pre"
        return error(point, seed) + (0.004 if both else 0)

    study = study_of(write_ablation(tmp_path / "run", interacting, factorial=True))
    assert study.planned == 3 * 18 == len(study.trials)
    found = by_change(study)
    expected = np.asarray(CHANGES["num_layers", 1]) + 0.004 / 2
    np.testing.assert_allclose(list(found["num_layers", 1].differences.values()), expected, atol=1e-15)
    expected = np.asarray(CHANGES["norm", "pre"]) + 0.004 / 3
    np.testing.assert_allclose(list(found["norm", "pre"].differences.values()), expected, atol=1e-15)


def test_averaging_is_judged_within_the_same_runs(tmp_path: Path) -> None:
    def raw(point: Mapping[str, Any], seed: int) -> float:
        return error(point, seed) + 0.002 + 0.001 * seed + (0.5 if point["norm"] == "pre" else 0)

    found = by_change(study_of(write_ablation(tmp_path / "run", error, raw=raw)))
    effect = found[WEIGHTS, "last step"]
    np.testing.assert_allclose(list(effect.differences.values()), [0.002, 0.003, 0.004], atol=1e-15)
    assert list(found)[-1] == (WEIGHTS, "last step")


def test_runs_without_an_average_say_nothing_about_averaging(tmp_path: Path) -> None:
    def raw(point: Mapping[str, Any], seed: int) -> float:
        return error(point, seed) + (0.002 * seed if point["norm"] == "pre" else 0)

    assert (WEIGHTS, "last step") not in by_change(study_of(write_ablation(tmp_path / "none", error)))
    assert (WEIGHTS, "last step") not in by_change(study_of(write_ablation(tmp_path / "pre", error, raw=raw)))
    some = study_of(write_ablation(tmp_path / "some", error, raw=raw, factorial=True))
    differences = by_change(some)[WEIGHTS, "last step"].differences
    assert differences == pytest.approx({0: 0, 1: 0.002, 2: 0.004})  # of norm pre alone, all its seeds


@pytest.mark.parametrize("state", ["failed", "running", "stopped", None])
def test_only_complete_pairs_count(tmp_path: Path, state: str | None) -> None:
    def of(point: Mapping[str, Any], seed: int) -> str | None:
        return state if point["num_layers"] == 1 and seed == 1 else "complete"

    study = study_of(write_ablation(tmp_path / "run", error, state=of))
    effect = by_change(study)["num_layers", 1]
    assert list(effect.differences) == [0, 2]
    assert (effect.n, effect.planned) == (2, 3)
    assert effect.mean == pytest.approx(0.0105)
    assert by_change(study)["norm", "pre"].n == 3


def test_without_the_reference_nothing_is_compared(tmp_path: Path) -> None:
    def of(point: Mapping[str, Any], seed: int) -> str:
        at_reference = all(point[name] == values[0] for name, values in FACTORS.items())
        return "failed" if at_reference and seed else "complete"

    found = effects(study_of(write_ablation(tmp_path / "run", error, state=of)))
    assert {effect.n for effect in found} == {1}
    assert not any(effect.tested or effect.moved for effect in found)
    assert all(np.isnan([effect.low, effect.high, effect.p]).all() for effect in found)


def test_before_the_first_run_is_complete_nothing_is_tested(tmp_path: Path) -> None:
    run = write_ablation(tmp_path / "run", error, state=lambda point, seed: "running")
    found = effects(study_of(run))
    assert len(found) == 5
    assert all(effect.n == 0 and not effect.tested for effect in found)


def test_values_are_found_again_in_the_table(tmp_path: Path) -> None:
    """Switches, nothing and numbers of several types, as parquet stores them."""
    factors = {"residual": [True, False], "clip": [None, 1], "reach": [2, "adaptive", 0.5], "rate": [0.1, 1]}
    sizes = {"residual": 0.01, "clip": 0.02, "reach": 0.04, "rate": 0.08}

    def distinct(point: Mapping[str, Any], seed: int) -> float:
        places = {name: [str(v) for v in factors[name]].index(str(value)) for name, value in point.items()}
        return 0.05 + 0.001 * seed + sum(sizes[name] * place for name, place in places.items())

    found = effects(study_of(write_ablation(tmp_path / "run", distinct, factors=factors)))
    assert [effect.mean for effect in found] == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.08])


def test_a_value_outside_the_design_is_refused(tmp_path: Path) -> None:
    run = write_ablation(tmp_path / "run", error)
    table = pd.read_parquet(run / "trials.parquet")
    table.loc[1, "crystalformer/num_layers"] = 9
    table.to_parquet(run / "trials.parquet")
    with pytest.raises(ReportError, match=r"crystalformer/num_layers: expected one of 4, 1, 2, got 9"):
        studies(load([run]))
    table.loc[1, "crystalformer/num_layers"] = 4
    table.to_parquet(run / "trials.parquet")
    with pytest.raises(ReportError, match="expected one trial per configuration and seed, got trial t0001"):
        studies(load([run]))
