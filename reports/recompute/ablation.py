"""`ablation.csv` once more: the difference of every change, trial against trial."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from reports.ablation.study import Study, studies_of
from reports.ablation.terms import plain
from reports.check import Check
from reports.comparison import ALPHA
from reports.recompute.noise import Point, interval_and_p, within_rows, within_rows_and_columns
from reports.recompute.statistics import step_down
from reports.recompute.stored import Row, Stored, cells

WEIGHTS = "weights"


def check_ablation(stored: Stored, table: pd.DataFrame) -> list[Check]:
    """All columns that are numbers, of each change of each study."""
    checks = []
    for study in studies_of(stored.folders):
        mine = (
            (table["experiment"] == study.experiment)
            & (table["model"] == study.model)
            & (table["target"] == study.target)
        )
        checks += _check_study(study, table[mine].to_dict("records"))
    return checks


def _check_study(study: Study, rows: list[dict]) -> list[Check]:
    pairs = [list(_pairs(study, row)) for row in rows]
    by_seed = [_by_seed(each) for each in pairs]
    noises = _noises(study)
    tests = [
        _test(noises[row["factor"] == WEIGHTS], each, differences)
        for row, each, differences in zip(rows, pairs, by_seed, strict=True)
    ]
    corrected = step_down([p for _, _, p in tests])
    checks = []
    for row, each, differences, (low, high, _), p in zip(rows, pairs, by_seed, tests, corrected, strict=True):
        where = f"ablation.csv: {study.model}, {study.target}, {row['factor']} {row['value']}"
        mean = float(np.mean(list(differences.values()))) if differences else np.nan
        without: dict[int, list[float]] = {}
        for seed, before, _ in each:
            without.setdefault(seed, []).append(before)
        baseline = float(np.mean([np.mean(some) for some in without.values()])) if without else np.nan
        found = {
            "baseline_val_mae": baseline,
            "difference": mean,
            "percent": 100 * mean / baseline,
            "low": low,
            "high": high,
            "n_seeds": len(differences),
            "planned_seeds": len(study.seeds),
            "p_holm": p,
            "moved": bool(p == p and p < ALPHA),
        }
        checks += cells(where, row, found)
        stated = dict(pair.split(":") for pair in str(row["differences"]).split() if ":" in pair)
        checks += [
            Check(f"{where}, seed {seed}", float(stated.get(str(seed), "nan")), value)
            for seed, value in differences.items()
        ]
    return checks


def _noises(study: Study) -> dict[bool, tuple[float, int]]:
    """Variance and degrees of freedom of a pair of errors: of two runs (False), of one run's two (True)."""
    factors = list(study.levels)
    errors = {
        (_point(run, factors), run["seed"]): run["val_mae"] for run in study.complete.to_dict("records")
    }
    both = {
        (_point(run, factors), run["seed"]): run["val_mae_raw"] - run["val_mae"]
        for run in _averaged(study.complete, factors)
    }
    variance, degrees = within_rows_and_columns(errors) if errors else (np.nan, 0)
    return {False: (2 * variance, degrees), True: within_rows(both) if both else (np.nan, 0)}


def _test(
    noise: tuple[float, int], pairs: list[tuple[int, float, float]], differences: dict[int, float]
) -> tuple[float, float, float]:
    """Interval and uncorrected p of the mean difference; NaN below two seeds."""
    if len(differences) < 2:
        return np.nan, np.nan, np.nan
    variance, degrees = noise
    of_seeds = [variance / sum(1 for pair in pairs if pair[0] == seed) for seed in differences]
    mean = float(np.mean(list(differences.values())))
    return interval_and_p(mean, sum(of_seeds) / len(of_seeds) ** 2, degrees)


def _by_seed(pairs: list[tuple[int, float, float]]) -> dict[int, float]:
    """The mean difference of each seed, in the order of the seeds."""
    found: dict[int, list[float]] = {}
    for seed, without, changed in pairs:
        found.setdefault(seed, []).append(changed - without)
    return {seed: float(np.mean(found[seed])) for seed in sorted(found)}


def _pairs(study: Study, row: Row) -> Iterator[tuple[int, float, float]]:
    """Seed, error without and with the change, of each two trials that differ in it alone."""
    complete = study.complete
    factors = list(study.levels)
    if row["factor"] == WEIGHTS:
        yield from _weights(study, complete, factors)
        return
    factor = str(row["factor"])
    position = 1 + [plain(value) for value in study.levels[factor]].index(str(row["value"]))
    others = [name for name in factors if name != factor]
    for before in complete[complete[factor] == 0].to_dict("records"):
        for after in complete[complete[factor] == position].to_dict("records"):
            if before["seed"] == after["seed"] and all(before[name] == after[name] for name in others):
                yield int(before["seed"]), before["val_mae"], after["val_mae"]


def _weights(study: Study, complete: pd.DataFrame, factors: list[str]) -> Iterator[tuple[int, float, float]]:
    """The two errors of each run that averaged its weights; one-at-a-time, of the reference's."""
    for row in _averaged(complete, factors):
        if study.factorial or not any(_point(row, factors)):
            yield int(row["seed"]), row["val_mae"], row["val_mae_raw"]


def _averaged(complete: pd.DataFrame, factors: list[str]) -> list[dict]:
    """The runs whose configuration averaged its weights in some seed."""
    rows = complete.dropna(subset=["val_mae_raw"]).to_dict("records")
    averaged = {_point(row, factors) for row in rows if row["val_mae"] != row["val_mae_raw"]}
    return [row for row in rows if _point(row, factors) in averaged]


def _point(row: Row, factors: list[str]) -> Point:
    return tuple(row[name] for name in factors)
