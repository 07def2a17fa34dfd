"""The data of a search: its array store, and one split per target as stored lists of ids."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.catalog import DATASETS
from crystalformer.data.duplicates import RULE, duplicates
from crystalformer.data.splits import Split, save_split
from crystalformer.data.targets import TargetScaler
from crystalformer.sources.convert import convert
from crystalformer.sources.published.download import TransferWatcher
from crystalformer.sources.records import Rejection
from suite.space.search_space import SearchSpace
from suite.splitting import split_of


@dataclass(frozen=True)
class PreparedData:
    """A store and, per target, unit and split."""

    store: ArrayStore
    label: str
    units: dict[str, str | None]
    splits: dict[str, Split]
    rejections: tuple[Rejection, ...] = ()  # rows and values that are not in the store

    def left_out(self) -> tuple[Rejection, ...]:
        """What the search does without, and why: rows, values that are none, crystals without a value."""
        told = {(rejection.id, rejection.target) for rejection in self.rejections}
        lacking = (
            Rejection(id_, "", f"no value of {target}", target)
            for target in self.splits
            for id_, absent in zip(self.store.ids, np.isnan(self.store.targets[target]), strict=True)
            if absent and (id_, target) not in told
        )
        others = (r for r in self.rejections if not r.target or r.target in self.splits)
        return (*others, *lacking)

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
                target: {"rule": split.rule, "hash": split.hash, "test_hash": split.test_hash, **split.counts}
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
    splits = {target: split_of(data, converted, target) for target in data.targets}
    for target, split in splits.items():
        save_split(store, split)
        try:
            TargetScaler.fit(store.targets[target][store.rows(split.train)][:, None], data.unit)
        except ValueError as error:
            raise ValueError(f"target {target}: {error}") from error
    units = {target: data.unit or store.units[target] for target in data.targets}
    return PreparedData(store, known.label if known else store.name, units, splits, converted.rejections)
