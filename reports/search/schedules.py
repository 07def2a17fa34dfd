"""The schedules that population based training found: from which epoch on which values held."""

import json
from collections.abc import Iterator, Sequence

import pandas as pd

from reports.rounding import count
from reports.search.searched import Branch
from reports.sections import Grid
from suite.space.scalars import shown

IS_A_SCHEDULE = (
    "Population based training: the result of a trial is a schedule, not a configuration. Hyper-parameters "
    "changed while it was trained, so nothing is said of their importance."
)


def has_schedules(branches: Sequence[Branch]) -> bool:
    """Whether the trials are members of populations."""
    return any("schedule" in branch.trials for branch in branches)


def schedule_table(branches: Sequence[Branch]) -> Grid:
    """The stretches of each model's best trial, which the final runs follow."""
    rows = [row for branch in branches for row in _rows(branch)]
    header = ("Model", "Trial", "From epoch", "Trained by", "Values")
    return Grid("Schedules of the best members", header, (False, False, True, False, False), tuple(rows))


def _rows(branch: Branch) -> Iterator[tuple[str, ...]]:
    ended: pd.DataFrame = branch.trials[branch.trials["state"].isin(["complete", "stopped"])]
    if ended.empty:
        return
    best = ended.sort_values(["epochs", "val_mae"], ascending=[False, True]).iloc[0]
    for index, stretch in enumerate(json.loads(best["schedule"])):
        values = {name: value for name, value in stretch.items() if name not in ("epoch", "by")}
        yield (
            "" if index else branch.label,
            "" if index else str(best["trial_id"]),
            count(stretch["epoch"] + 1),
            str(stretch["by"]),
            ", ".join(f"{name} {shown(value)}" for name, value in values.items()),
        )
