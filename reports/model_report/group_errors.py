"""A model's error in each group of crystals, with what it would be with other crystals."""

from dataclasses import dataclass

import numpy as np

from reports.comparison import mean_interval
from reports.model_report.groups import Group, groups
from reports.model_report.per_crystal import CrystalErrors, TaskErrors


@dataclass(frozen=True)
class GroupError:
    """`mae`: over `crystals` crystals of the group; `low`, `high`: its 95 % interval of Student's t over
    them, NaN for one.
    """

    model: CrystalErrors
    group: Group
    crystals: int
    mae: float
    low: float
    high: float


def group_errors(errors: TaskErrors) -> list[GroupError]:
    """Every model in every group in which it predicted a crystal: models as in `errors`, then groups."""
    crystals = errors.crystals.index
    rows = [(group, np.sort(crystals.get_indexer(list(group.ids)))) for group in groups(errors)]
    found = []
    for model in errors.models:
        values = model.table["error"].reindex(crystals).to_numpy(np.float64)
        for group, places in rows:
            known = values[places][np.isfinite(values[places])]
            if len(known):
                found.append(GroupError(model, group, len(known), *mean_interval(known)))
    return found
