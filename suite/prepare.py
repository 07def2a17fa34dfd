"""The data of a search: its array store, and one split per target as stored lists of ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.catalog import DATASETS, Dataset
from crystalformer.data.duplicates import RULE, duplicates
from crystalformer.data.group_splits import by_groups
from crystalformer.data.official import fold_split, official_split
from crystalformer.data.splits import Split, fractions, from_column, labelled_ids, save_split, subset
from crystalformer.data.targets import TargetScaler
from crystalformer.sources.convert import Conversion, allowed_count, convert
from crystalformer.sources.groups import group_names
from crystalformer.sources.published.download import TransferWatcher
from crystalformer.sources.records import Rejection
from suite.space.search_space import SearchSpace
from suite.space.split_block import SplitSpec


@dataclass(frozen=True)
class PreparedData:
    """A store and, per target, unit and split."""

    store: ArrayStore
    label: str
    units: dict[str, str | None]
    splits: dict[str, Split]
    rejections: tuple[Rejection, ...] = ()  # rows and values that are not in the store

    def summary(self) -> dict:
        """What `search.json` says of the data: counts, units, digests and training statistics."""
        return {
            "name": self.store.name,
            "label": self.label,
            "digest": self.store.digest,
            "crystals": len(self.store),
            "atoms": int(self.store.offsets[-1]),
            "targets": self.units,
            "split": {
                target: {"rule": split.rule, "hash": split.hash, **split.counts}
                for target, split in self.splits.items()
            },
            "target_stats": {target: self._statistics(target) for target in self.splits},
            "duplicates": self._duplicates(),
            "cell": self.store.cell,
            "rejected": sum(not rejection.target for rejection in self.rejections),
        }

    def _statistics(self, target: str) -> dict[str, float]:
        values = self.store.targets[target][self.store.rows(self.splits[target].train)]
        return {
            "train_mean": float(values.mean()),
            "train_sd": float(values.std()),
            "train_mad": float(np.abs(values - values.mean()).mean()),
        }

    def _duplicates(self) -> dict[str, dict]:
        """Per target, what validation and test share with training, see `crystalformer.data.duplicates`."""
        by_hash = {split.hash: split for split in self.splits.values()}
        records = {hash_: _duplicates_of(self.store, split) for hash_, split in by_hash.items()}
        return {target: records[split.hash] for target, split in self.splits.items()}


def _duplicates_of(store: ArrayStore, split: Split) -> dict:
    record: dict = {"rule": RULE}
    for part, ids in (("val", split.val), ("test", split.test)):
        found = duplicates(store, split.train, ids)
        counts = {"near": len(found.near), "same_cell": len(found.same_cell)}
        record[part] = counts | {"near_ids": list(found.near)}
    return record


def prepare_data(space: SearchSpace, root: Path, watcher: TransferWatcher | None = None) -> PreparedData:
    """Download and convert the data set unless that has been done, and store its splits.

    Raises:
        ValueError: the data set, a target or a split is not what the space expects of it.
    """
    data = space.data
    converted = convert(data.dataset, root, data.max_rejected, data.targets, watcher, data.cell)
    store = converted.store
    known = DATASETS.get(data.dataset) if isinstance(data.dataset, str) else None
    splits = {target: _split(space, converted, target) for target in data.targets}
    for target, split in splits.items():
        save_split(store, split)
        try:
            TargetScaler.fit(store.targets[target][store.rows(split.train)][:, None], data.unit)
        except ValueError as error:
            raise ValueError(f"target {target}: {error}") from error
    units = {target: data.unit or store.units[target] for target in data.targets}
    return PreparedData(store, known.label if known else store.name, units, splits, converted.rejections)


def _split(space: SearchSpace, converted: Conversion, target: str) -> Split:
    rule, store = space.data.split[target], converted.store
    ids = labelled_ids(store, target)
    published = DATASETS.get(store.name) if isinstance(space.data.dataset, str) else None
    if published is None or published.bundle is not None:
        _check_missing(space, converted, target, ids)
    drawn = space.data.subset
    if drawn is not None:
        try:
            ids = subset(ids, drawn, rule.seed)
        except ValueError as error:
            raise ValueError(f"data.subset: {error} that have the target {target}") from error
    if rule.kind == "fractions":
        split = fractions(ids, rule.train, rule.val, rule.test, rule.seed)
    elif rule.kind == "column":
        split = from_column(store, ids)
    elif rule.kind == "lists":
        split = _listed(space, converted, ids, rule)
    elif rule.kind == "groups":
        assert rule.group is not None
        assert rule.val_groups is not None
        assert rule.test_groups is not None
        groups = group_names(store, rule.group)
        split = by_groups(ids, groups, rule.group, rule.val_groups, rule.test_groups, rule.seed)
    else:
        assert published is not None  # the grammar allows these for data sets of the catalogue only
        split = _published(published, store, target, rule).restricted(ids)
    if drawn is None:
        return split
    return replace(split, rule=f"{split.rule}, of {drawn} crystals drawn with seed {rule.seed}")


def _published(dataset: Dataset, store: ArrayStore, target: str, rule: SplitSpec) -> Split:
    if rule.fold is None:
        return official_split(dataset, store, target)
    return fold_split(dataset, store, target, rule.fold, rule.val, rule.seed)


def _listed(space: SearchSpace, converted: Conversion, ids: Sequence[str], rule: SplitSpec) -> Split:
    """The lists of ids without those that have no crystal or no value, if they may be left out."""
    assert rule.lists is not None
    present, allowed = set(ids), allowed_count(space.data.max_rejected, len(converted.store))
    absent = [id_ for listed in rule.lists for id_ in listed.ids if id_ not in present]
    if len(absent) > allowed:
        named = ", ".join(map(repr, absent[:3])) + (", ..." if len(absent) > 3 else "")
        raise ValueError(
            f"data.split: {len(absent)} listed ids have no crystal with a value: {named}; "
            f"expected at most data.max_rejected = {allowed}"
        )
    train, val, test = ([id_ for id_ in listed.ids if id_ in present] for listed in rule.lists)
    sources = ", ".join(listed.source for listed in rule.lists)
    return Split.of(train, val, test, rule=f"ids listed in {sources}")


def _check_missing(space: SearchSpace, converted: Conversion, target: str, ids: Sequence[str]) -> None:
    """A target may only lack where the search space says how many crystals may be left out.

    With a split by column or by lists, crystals without a label or in no list take no part and need no
    target.
    """
    store = converted.store
    wanted = set(store.ids)
    rule = space.data.split[target]
    if rule.lists is not None:
        wanted &= {id_ for listed in rule.lists for id_ in listed.ids}
    if rule.kind == "column":
        wanted = {id_ for id_, label in zip(store.ids, store.split_labels, strict=True) if label is not None}
    missing = len(wanted - set(ids))
    rejected = converted.rejected_rows
    allowed = allowed_count(space.data.max_rejected, len(store) + rejected)
    if missing and missing + rejected > allowed:
        raise ValueError(
            f"data.target: {target} is missing for {missing} of {len(store)} crystals of {store.name}: "
            f"expected at most data.max_rejected = {allowed}; "
            f"to leave them out, set data.max_rejected to {missing + rejected} or more"
        )
