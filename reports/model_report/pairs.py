"""Two models on the same crystals: one architecture in two runs where there is one, else the best of each.

The difference of a pair is the second model's error minus the first's, where the first has the lower error
in the table: above 0, the first is closer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from reports.comparison import ALPHA, holm, paired
from reports.load import Results
from reports.model_report.groups import SPACE_GROUP, Group, groups
from reports.model_report.per_crystal import CrystalErrors, TaskErrors

MOST_PAIRS = 6  # of a task
MOST_SETTINGS = 6  # that a pair's text names
SEED = "seed"


@dataclass(frozen=True)
class GroupDifference:
    """Mean difference over the `crystals` of a group that both predicted, with its 95 % interval and p,
    Holm-corrected over the groups of the pair; NaN for one crystal.
    """

    group: Group
    crystals: int
    mean: float
    low: float
    high: float
    p: float

    @property
    def shown(self) -> bool:
        """Whether the difference is supported at level `ALPHA`."""
        return self.p < ALPHA


@dataclass(frozen=True)
class Pair:
    """Two models and how they differ.

    `table`: index id of the crystals that both predicted; first, second (predicted minus calculated, of the
    mean predictions) and difference (of the absolute errors averaged over the seeds). `settings`: what
    differs between their configurations, in words. `mean`, `low`, `high`, `p`: of the differences of all
    crystals.
    """

    first: CrystalErrors
    second: CrystalErrors
    table: pd.DataFrame
    settings: tuple[str, ...]
    groups: tuple[GroupDifference, ...]
    mean: float
    low: float
    high: float
    p: float


def pairs(results: Results, errors: TaskErrors) -> list[Pair]:
    """The pairs of a task, at most `MOST_PAIRS`; none where all models come from one run."""
    found = groups(errors)
    matched = list(_same_model(errors)) or list(_best_of_each(errors))
    made = (_pair(results, errors, *both, found) for both in islice(matched, MOST_PAIRS))
    return [pair for pair in made if len(pair.table) > 1]


def _same_model(errors: TaskErrors) -> Iterator[tuple[CrystalErrors, CrystalErrors]]:
    """The best of an architecture beside each other run of it."""
    for key in dict.fromkeys(each.model for each in errors.models):
        best, *others = [each for each in errors.models if each.model == key]
        yield from ((best, other) for other in others)


def _best_of_each(errors: TaskErrors) -> Iterator[tuple[CrystalErrors, CrystalErrors]]:
    best = {each.experiment: each for each in reversed(errors.models)}  # models are best first
    first, *others = sorted(best.values(), key=lambda each: each.mae)
    yield from ((first, other) for other in others)


def _pair(
    results: Results, errors: TaskErrors, first: CrystalErrors, second: CrystalErrors, found: list[Group]
) -> Pair:
    table = pd.DataFrame(
        {
            "first": first.residual,
            "second": second.residual,
            "difference": second.table["error"] - first.table["error"],
        }
    ).dropna()
    mean, low, high, p = paired(table["difference"].to_numpy(np.float64))
    return Pair(
        first=first,
        second=second,
        table=table,
        settings=_settings(_config(results, errors, first), _config(results, errors, second)),
        groups=tuple(_differences(table["difference"], found)),
        mean=mean,
        low=low,
        high=high,
        p=p,
    )


def _differences(difference: pd.Series, found: list[Group]) -> list[GroupDifference]:
    """One per group but space groups, which are many and small."""
    values = {
        group: difference[difference.index.isin(group.ids)].to_numpy(np.float64)
        for group in found
        if group.grouping != SPACE_GROUP
    }
    kept = {group: some for group, some in values.items() if len(some)}
    tests = {group: paired(some) for group, some in kept.items()}
    tested = [group for group, test in tests.items() if np.isfinite(test[3])]
    corrected = dict(zip(tested, holm([tests[group][3] for group in tested]), strict=True))
    return [
        GroupDifference(group, len(some), *tests[group][:3], corrected.get(group, float("nan")))
        for group, some in kept.items()
    ]


def _config(results: Results, errors: TaskErrors, model: CrystalErrors) -> dict[str, Any]:
    """Settings of model and training."""
    for final in results.folders[model.experiment].finals:
        record = final.record
        if (record["model"], record["target"], record["rank"]) == (model.model, errors.task.target, 1):
            config = record.get("config") or {}
            return {**(config.get("model") or {}), **(config.get("train") or {})}
    return {}


def _settings(first: dict[str, Any], second: dict[str, Any]) -> tuple[str, ...]:
    names = [name for name in first if name in second and name != SEED]
    different = [name for name in names if first[name] != second[name]]
    texts = [f"{name} {first[name]} against {second[name]}" for name in different]
    more = len(texts) - MOST_SETTINGS
    return tuple(texts if more <= 0 else [*texts[:MOST_SETTINGS], f"{more} further settings"])
