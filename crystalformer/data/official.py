"""Official splits: the published rule of a data set applied to its crystals, and checked.

A rule goes by the order of the source and counts every record of it, so crystals that could not be read take
part and are left out at the end. Counts, the first and last id of each part and the digests of folds are
compared with the published ones; a file that gives others is another file.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.datasets.row import Dataset, OfficialSplit
from crystalformer.data.splits import LABELS, Split

FOLDS = 5
UNUSED = 2  # records that rounding of fractions may leave over
PART = "/"  # begins the suffix of the ids of a part
OTHER_FILE = "the file is not the published one"
REPEATED = "#"  # between the id of a record and the number of its occurrence, from the second on


@dataclass(frozen=True)
class Roster:
    """The records of a source, in its order, whether or not they became crystals.

    Attributes:
        ids: of all records.
        labels: the part of the split that the source says, or None.
        targets: name -> values, NaN where missing.
    """

    ids: Sequence[str]
    labels: Sequence[str | None]
    targets: Mapping[str, Float[np.ndarray, " records"]]

    @classmethod
    def of(cls, store: ArrayStore) -> "Roster":
        """The records that the store was made from: its crystals and those its manifest calls absent."""
        absent = store.manifest["source"].get("absent", ())
        ids, labels = list(store.ids), list(store.split_labels)
        rows = list(range(len(ids)))
        for entry in absent:  # by position
            ids.insert(entry["position"], entry["id"])
            labels.insert(entry["position"], entry["label"])
            rows.insert(entry["position"], -1)
        present = np.array(rows)
        targets = {}
        for name, values in store.targets.items():
            targets[name] = np.where(present >= 0, values[present], np.nan)
            for entry in absent:
                targets[name][entry["position"]] = entry["targets"].get(name, np.nan)
        return cls(ids, labels, targets)


def official_split(dataset: Dataset, store: ArrayStore, target: str) -> Split:
    """The published split for a target, of the crystals in the store.

    Raises:
        ValueError: there is none, or the crystals do not give the published counts and ids.
    """
    parts = official_ids(dataset, Roster.of(store), target)
    present = set(store.ids)
    train, val, test = ([id_ for id_ in parts[label] if id_ in present] for label in LABELS)
    return Split.of(train, val, test, rule=f"official split of {dataset.name}")


def official_ids(dataset: Dataset, roster: Roster, target: str) -> dict[str, list[str]]:
    """Train, validation and test ids by the published rule, checked.

    Raises:
        ValueError: as `official_split`.
    """
    split = dataset.splits.get(target)
    if split is None or split.rule == "folds":
        has = "folds, one of which is to be named" if split else "no official split"
        raise ValueError(f"{dataset.name}: {target} has {has}")
    taking_part = _taking_part(roster, split.needs or (target,))
    if split.rule == "files":
        parts = {
            label: [roster.ids[row] for row in taking_part if roster.labels[row] == label] for label in LABELS
        }
    else:
        parts = _shuffled([roster.ids[row] for row in taking_part], split, f"{dataset.name}: {target}")
    _check(parts, split, f"{dataset.name}: official split for {target}")
    return parts


def fold_split(dataset: Dataset, store: ArrayStore, target: str, fold: int, val: float, seed: int) -> Split:
    """One of the published folds as test; of the other crystals a share `val`, drawn with `seed`, validates.

    The published folds know no validation crystals: the last int(val n) of the n crystals outside of the
    fold, shuffled by `random.Random(seed)`, are taken.

    Raises:
        ValueError: there are no folds, or the crystals do not give the published ones.
    """
    test_ids = set(fold_ids(dataset, Roster.of(store), target, fold))
    rest = [id_ for id_ in store.ids if id_ not in test_ids]
    random.Random(seed).shuffle(rest)
    count = int(val * len(rest))
    if not 0 < count < len(rest):
        raise ValueError(
            f"split.val: expected a share that leaves crystals on both sides, got {val:g} of {len(rest)}"
        )
    test = [id_ for id_ in store.ids if id_ in test_ids]
    rule = f"official fold {fold} of {dataset.name}, validation {val:g} of the rest, seed {seed}"
    return Split.of(rest[:-count], rest[-count:], test, rule=rule)


def fold_ids(dataset: Dataset, roster: Roster, target: str, fold: int) -> list[str]:
    """The test ids of a published fold, checked: of five consecutive stretches of the shuffled records.

    They are those of scikit-learn's KFold(5, shuffle=True, random_state=seed), which shuffles with NumPy's
    legacy generator; its stream is fixed.

    Raises:
        ValueError: as `fold_split`.
    """
    split = dataset.splits.get(target)
    if split is None or split.rule != "folds":
        raise ValueError(f"{dataset.name}: {target} has no official folds")
    order = np.arange(len(roster.ids))
    np.random.RandomState(split.seed).shuffle(order)
    sizes = [len(order) // FOLDS + (number < len(order) % FOLDS) for number in range(FOLDS)]
    start = sum(sizes[:fold])
    ids = [roster.ids[row] for row in sorted(order[start : start + sizes[fold]].tolist())]
    digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
    if digest != split.fold_sha256[fold]:
        raise ValueError(
            f"{dataset.name}: fold {fold}: expected test ids of SHA-256 {split.fold_sha256[fold][:12]}, got "
            f"{digest[:12]}: {OTHER_FILE}"
        )
    return ids


def source_id(id_: str) -> str:
    """The id as the source has it, without what makes it unique among the records of all parts."""
    return id_.partition(REPEATED)[0].partition(PART)[0]


def _taking_part(roster: Roster, needs: Sequence[str]) -> list[int]:
    for name in needs:
        if name not in roster.targets:
            raise ValueError(
                f"the prepared data lack {name}, which the official split goes by; prepare the data set again"
            )
    values = np.array([roster.targets[name] for name in needs])
    return np.flatnonzero(np.isfinite(values).all(axis=0)).tolist()


def _shuffled(ids: list[str], split: OfficialSplit, what: str) -> dict[str, list[str]]:
    train, val, test = (split.counts[label] for label in LABELS)
    used = train + val + test
    if not used <= len(ids) <= used + UNUSED:
        raise ValueError(
            f"{what}: expected from {used} to {used + UNUSED} crystals with a value, got {len(ids)}: "
            f"{OTHER_FILE}"
        )
    shuffled = list(ids)
    random.Random(split.seed).shuffle(shuffled)
    start = len(shuffled) - test
    return {"train": shuffled[:train], "val": shuffled[start - val : start], "test": shuffled[start:]}


def _check(parts: Mapping[str, Sequence[str]], split: OfficialSplit, what: str) -> None:
    counts = {label: len(parts[label]) for label in LABELS}
    if split.counts and counts != split.counts:
        raise ValueError(
            f"{what}: expected {_shown(split.counts)} crystals, got {_shown(counts)}: {OTHER_FILE}"
        )
    for label, expected in split.ends.items():
        found = tuple(source_id(id_) for id_ in (parts[label][0], parts[label][-1]))
        if found != expected:
            raise ValueError(
                f"{what}: expected {label} ids from {expected[0]} to {expected[1]}, got {found[0]} to "
                f"{found[1]}: {OTHER_FILE}, or its order is another"
            )


def _shown(counts: Mapping[str, int]) -> str:
    return " / ".join(f"{counts[label]:,}" for label in LABELS)
