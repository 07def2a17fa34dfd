"""Train, validation and test as stored lists of ids with a hash, never as a seed alone.

A rule makes the lists once; `save_split` writes them to `splits/<first 12 digits of the hash>.json` in
the store's folder and registers them in its manifest; whoever needs them reads that file, and the hash
is checked. Crystals without the target are left out before a rule is applied, see `labelled_ids`.
"""

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, Self

import numpy as np

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.manifest import (
    folder_lock,
    read_manifest,
    store_error,
    to_json,
    write_atomically,
    write_manifest,
)

LABELS = ("train", "val", "test")
HASH_CHARACTERS = 12  # of the hexadecimal hash, in file names
FOLDER = "splits"


@dataclass(frozen=True)
class SearchSplit:
    """What a search may see of a split: it has no test ids, not even their number."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    rule: str
    hash: str  # of the whole split, so that search and final runs can be matched


@dataclass(frozen=True)
class Split:
    """Three disjoint lists of crystal ids, the rule that made them, and the SHA-256 of the lists."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    rule: str
    hash: str

    @classmethod
    def of(cls, train: Sequence[str], val: Sequence[str], test: Sequence[str], rule: str) -> Self:
        """A split of these lists.

        Raises:
            ValueError: a list is empty, or an id is in it twice or in two lists.
        """
        lists = {"train": tuple(train), "val": tuple(val), "test": tuple(test)}
        for label, ids in lists.items():
            if not ids:
                raise ValueError(f"split ({rule}): expected at least one crystal in {label}, got none")
        total = sum(len(ids) for ids in lists.values())
        different = len({id_ for ids in lists.values() for id_ in ids})
        if different < total:
            raise ValueError(
                f"split ({rule}): expected every id once, got {total} ids, {different} different"
            )
        return cls(**lists, rule=rule, hash=hashlib.sha256(to_json(lists)).hexdigest())

    def thinned(self, count: int, seed: int) -> "Split":
        """So many of its crystals, drawn at random; a smaller `count` draws a part of a larger one.

        The drawing has an order of its own: `random.Random(seed)` may be what shuffled the split, and its
        first ids would all be training ids.

        Raises:
            ValueError: it has fewer, or a list would be empty.
        """
        ids = [*self.train, *self.val, *self.test]
        if count > len(ids):
            raise ValueError(f"expected at most {len(ids)}, got {count}: the split has {len(ids)} crystals")
        random.Random(f"thinned {seed}").shuffle(ids)
        drawn = set(ids[:count])
        train, val, test = (
            [id_ for id_ in part if id_ in drawn] for part in (self.train, self.val, self.test)
        )
        return Split.of(train, val, test, self.rule)

    def fewer(self, part: Literal["train", "val"], count: int, seed: int) -> "Split":
        """So many of the crystals of one part, drawn at random, and all others; a smaller `count` draws a
        part of a larger one.

        Raises:
            ValueError: there are fewer.
        """
        lists = {"train": self.train, "val": self.val}
        ids = lists[part]
        if not 0 < count <= len(ids):
            raise ValueError(f"expected from 1 to the {len(ids)} crystals of the split, got {count}")
        shuffled = list(ids)
        random.Random(f"{part} {seed}").shuffle(shuffled)
        drawn = set(shuffled[:count])
        lists[part] = tuple(id_ for id_ in ids if id_ in drawn)
        purpose = "training" if part == "train" else "validation"
        rule = f"{self.rule}, of {purpose} {count} crystals drawn with seed {seed}"
        return Split.of(**lists, test=self.test, rule=rule)

    @property
    def test_hash(self) -> str:
        """SHA-256 of the test ids in order: splits that share it are tested on the same crystals."""
        return hashlib.sha256(to_json(list(self.test))).hexdigest()

    @property
    def counts(self) -> dict[str, int]:
        """Number of crystals in each list."""
        return {"train": len(self.train), "val": len(self.val), "test": len(self.test)}

    def without_test(self) -> SearchSplit:
        """The same split for a search, which must not see the test ids."""
        return SearchSplit(train=self.train, val=self.val, rule=self.rule, hash=self.hash)


def fractions(ids: Sequence[str], train: float, val: float, test: float, seed: int) -> Split:
    """Random split by fractions, the rule of JARVIS-Leaderboard, MEGNet and dft_3d included.

    The n ids, in the order of the store, are shuffled by `random.Random(seed).shuffle`. Counts are
    rounded down: n_train = int(train * n), and so on. Train is the first n_train ids, test the last
    n_test, validation the n_val before test; the one or two ids that rounding may leave over lie between
    train and validation and are not used. (`random.Random` gives the same order on every machine and
    Python version since 3.2.)

    Raises:
        ValueError: a fraction is not above 0, they sum to more than 1, or a list would be empty.
    """
    parts = {"train": train, "val": val, "test": test}
    for label, part in parts.items():
        if not (math.isfinite(part) and part > 0):
            raise ValueError(f"split.{label}: expected a fraction above 0, got {part!r}")
    if sum(parts.values()) > 1 + 1e-9:
        raise ValueError(f"split: expected fractions that sum to at most 1, got {sum(parts.values()):g}")
    n_train, n_val, n_test = (int(part * len(ids)) for part in parts.values())
    for label, count in zip(LABELS, (n_train, n_val, n_test), strict=True):
        if count == 0:
            raise ValueError(
                f"split.{label}: expected at least one crystal, got none: "
                f"{parts[label]:g} of {len(ids)} crystals, rounded down"
            )
    shuffled = list(ids)
    random.Random(seed).shuffle(shuffled)
    start_of_test = len(shuffled) - n_test
    return Split.of(
        train=shuffled[:n_train],
        val=shuffled[start_of_test - n_val : start_of_test],
        test=shuffled[start_of_test:],
        rule=f"fractions {train}/{val}/{test}, seed {seed}",
    )


def subset(ids: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
    """So many of the ids, in their order, drawn by `random.Random(seed).shuffle`: the first of the shuffled.

    A smaller subset of the same seed is part of a larger one.

    Raises:
        ValueError: there are fewer.
    """
    if not 0 < count <= len(ids):
        raise ValueError(f"expected from 1 to {len(ids)}, got {count}: there are {len(ids)} crystals")
    shuffled = list(ids)
    random.Random(seed).shuffle(shuffled)
    drawn = set(shuffled[:count])
    return tuple(id_ for id_ in ids if id_ in drawn)


def from_column(store: ArrayStore, ids: Sequence[str] | None = None) -> Split:
    """The data set's own split: the label train, val or test that each crystal carries.

    Lists are in the order of the store; crystals without a label are in none. `ids` restricts the
    split to these crystals (default: all).

    Raises:
        ValueError: no crystal carries a label, one carries another label, or a list would be empty.
    """
    wanted = set(store.ids if ids is None else ids)
    lists: dict[str, list[str]] = {label: [] for label in LABELS}
    for id_, label in zip(store.ids, store.split_labels, strict=True):
        if id_ not in wanted or label is None:
            continue
        if label not in lists:
            raise ValueError(f"crystal {id_!r}: split: expected train, val or test, got {label!r}")
        lists[label].append(id_)
    if not any(lists.values()):
        raise ValueError(f"split: data set {store.name} has no split of its own; expected fractions")
    return Split.of(lists["train"], lists["val"], lists["test"], rule="labels of the data set")


def labelled_ids(store: ArrayStore, target: str) -> tuple[str, ...]:
    """Ids, in the order of the store, of the crystals that have a value of this target.

    Raises:
        ValueError: the data set has no such target.
    """
    if target not in store.targets:
        close = get_close_matches(target, store.targets, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        ignored = store.manifest["source"].get("ignored_columns", {})
        if target in ignored:
            hint = f"; that column was taken for text: {ignored[target]}"
        raise ValueError(
            f"target: expected one of {', '.join(store.targets) or '(none)'} (data set {store.name}), "
            f"got {target!r}{hint}"
        )
    present = ~np.isnan(store.targets[target])
    return tuple(id_ for id_, has_value in zip(store.ids, present, strict=True) if has_value)


def save_split(store: ArrayStore, split: Split) -> str:
    """Write the split into the store's folder, unless it is there; returns its key (12 digits of the hash).

    Safe with several processes: file and manifest are written under the store's lock.

    Raises:
        ValueError: an id is not in the store.
        StoreError: the split is there already, but damaged.
    """
    store.rows(split.train + split.val + split.test)
    key = split.hash[:HASH_CHARACTERS]
    if key not in read_manifest(store.path)["splits"]:
        with folder_lock(store.path):
            manifest = read_manifest(store.path)
            if key not in manifest["splits"]:
                _write(store, split, key, manifest)
    store.manifest = read_manifest(store.path)
    load_split(store, split.hash)
    return key


def load_split(store: ArrayStore, hash: str) -> Split:
    """Read a stored split by its hash or the first 12 digits of it, and check it.

    Raises:
        StoreError: the store has no such split, or its file is missing or damaged.
    """
    known = read_manifest(store.path)["splits"]
    entry = known.get(hash[:HASH_CHARACTERS])
    if entry is None or not entry["hash"].startswith(hash):
        raise store_error(store.path, FOLDER, f"one of the splits {', '.join(known) or '(none)'}", repr(hash))
    try:
        lists = json.loads((store.path / entry["file"]).read_bytes())
        split = Split.of(lists["train"], lists["val"], lists["test"], rule=entry["rule"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise store_error(
            store.path, entry["file"], "three id lists", f"an unreadable file ({error})"
        ) from None
    if split.hash != entry["hash"]:
        raise store_error(store.path, entry["file"], f"id lists of hash {entry['hash']}", split.hash)
    return split


def _write(store: ArrayStore, split: Split, key: str, manifest: dict) -> None:
    file = f"{FOLDER}/{key}.json"
    (store.path / FOLDER).mkdir(exist_ok=True)
    lists = {"train": split.train, "val": split.val, "test": split.test}
    write_atomically(store.path / file, to_json(lists))
    entry = {"rule": split.rule, "hash": split.hash, "counts": split.counts, "file": file}
    write_manifest(store.path, {**manifest, "splits": {**manifest["splits"], key: entry}})
