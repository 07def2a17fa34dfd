"""Crystals in groups: by number of atoms, crystal system, space group, element and range of the target."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from reports.model_report.per_crystal import TaskErrors

ATOMS, SYSTEM, SPACE_GROUP, ELEMENT, TARGET = (
    "number of atoms", "crystal system", "space group", "element", "target range"
)  # fmt: skip

# The first space group of each crystal system (International Tables A); a system ends where the next begins.
SYSTEMS = {
    "triclinic": 1, "monoclinic": 3, "orthorhombic": 16, "tetragonal": 75,
    "trigonal": 143, "hexagonal": 168, "cubic": 195,
}  # fmt: skip
LAST_SPACE_GROUP = 230
MOST_RANGES = 8  # of a target


@dataclass(frozen=True)
class Group:
    """Some crystals of a task.

    `low` and `high`: what bounds a group of numbers, both included, but for a target's range, which leaves
    its upper end to the next; None of other groups. `ids`: in no order.
    """

    grouping: str
    name: str
    ids: frozenset[str]
    low: float | None = None
    high: float | None = None


def groups(errors: TaskErrors) -> list[Group]:
    """All groups with at least one crystal, grouping by grouping, each in its natural order.

    Where the run folders do not describe the crystals, those of the target's range alone.
    """
    crystals = errors.crystals
    truth = pd.concat([each.table["y_true"] for each in errors.models])
    truth = truth[~truth.index.duplicated()]
    found = list(_by_target(truth))
    if errors.described:
        found += [
            *_by_atoms(crystals["atoms"]),
            *_by_system(crystals["space_group"]),
            *_by_space_group(crystals["space_group"]),
            *_by_element(crystals["elements"]),
        ]
    return [group for group in found if group.ids]


def _by_target(truth: pd.Series) -> Iterator[Group]:
    """Ranges of equal width between round numbers; the last one has its upper end too."""
    low, high = float(truth.min()), float(truth.max())
    edges = MaxNLocator(MOST_RANGES).tick_values(low, high)
    places = np.clip(np.searchsorted(edges, truth, side="right") - 1, 0, len(edges) - 2)
    for place, (start, end) in enumerate(pairwise(edges)):
        ids = frozenset(truth.index[places == place])
        yield Group(TARGET, f"{start:g} to {end:g}", ids, float(start), float(end))


def _by_atoms(atoms: pd.Series) -> Iterator[Group]:
    """1-2, 3-4, 5-8, 9-16 and so on: the groups double, as sizes of cells spread over orders of magnitude."""
    end = 2
    start = 1
    while start <= atoms.max():
        ids = frozenset(atoms.index[(atoms >= start) & (atoms <= end)])
        yield Group(ATOMS, f"{start} to {end}", ids, start, end)
        start, end = end + 1, 2 * end


def _by_system(numbers: pd.Series) -> Iterator[Group]:
    ends = [*(first - 1 for first in list(SYSTEMS.values())[1:]), LAST_SPACE_GROUP]
    for (name, first), last in zip(SYSTEMS.items(), ends, strict=True):
        inside = numbers.between(first, last).fillna(False).astype(bool)
        yield Group(SYSTEM, name, frozenset(numbers.index[inside]))
    yield Group(SYSTEM, "not found", frozenset(numbers.index[numbers.isna()]))


def _by_space_group(numbers: pd.Series) -> Iterator[Group]:
    for number, rows in numbers.dropna().groupby(numbers.dropna()):
        yield Group(SPACE_GROUP, str(number), frozenset(rows.index))


def _by_element(elements: pd.Series) -> Iterator[Group]:
    """By symbol; a crystal is in the group of each of its elements."""
    ids: dict[str, list[str]] = {}
    for id_, symbols in elements.items():
        for symbol in str(symbols).split():
            ids.setdefault(symbol, []).append(str(id_))
    for symbol in sorted(ids):
        yield Group(ELEMENT, symbol, frozenset(ids[symbol]))
