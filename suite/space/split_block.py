"""How the data of a search space are split: the key `data.split`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from crystalformer.data.catalog import DATASETS
from suite.space.id_lists import IdList, id_list
from suite.space.node import Node

PARTS = ("train", "val", "test")
FRACTION_KEYS = (*PARTS, "seed")
FOLD_KEYS = ("fold", "val", "seed")
GROUP_KEYS = ("group", "val", "test", "seed")
GROUPS = ("composition", "element", "prototype")
NAMED_SPLITS = ("official", "column")
SPLIT_FORMS = (
    "fractions {train: 0.8, val: 0.1, test: 0.1, seed: 123}, official, {fold: 0}, column, "
    "ids {train: train.txt, val: val.txt, test: test.txt}, groups {group: composition, val: 0.1, test: 0.1}, "
    "or one of these per target"
)

Wanted = float | tuple[str, ...]  # a share of the crystals, or names of groups


@dataclass(frozen=True)
class SplitSpec:
    """The rule of a split.

    `kind` is "fractions" (then train, val and test are parts of the crystals, shuffled with `seed`),
    "official" (the published split of a named data set), "fold" (one of its published folds is the test
    split; the part `val` of the other crystals, shuffled with `seed`, validates), "column" (the labels in the
    user's own table), "lists" (the ids of train, val and test) or "groups" (whole groups of the kind `group`:
    a share of the crystals, or named ones).
    """

    kind: Literal["fractions", "official", "fold", "column", "lists", "groups"] = "fractions"
    train: float = 0.8
    val: float = 0.1
    test: float = 0.1
    seed: int = 123
    fold: int | None = None
    lists: tuple[IdList, ...] | None = None
    group: str | None = None
    val_groups: Wanted | None = None
    test_groups: Wanted | None = None

    def plain(self) -> dict[str, Any]:
        """The rule as JSON, for the digest of a search space; long lists of ids by their checksum."""
        return dict(self._entries())

    def _entries(self) -> Iterator[tuple[str, Any]]:
        for key, value in asdict(self).items():
            if key == "lists" and self.lists is not None:
                yield key, [entry.sha256 for entry in self.lists]
            elif value is not None:
                yield key, value


def read_splits(
    node: Node, targets: tuple[str, ...], dataset: str | Path, folder: Path
) -> dict[str, SplitSpec]:
    """Target -> rule; `folder` is where paths of id lists begin (else: the current folder).

    Raises:
        SpaceError: an unknown form, key or group, a missing or malformed file, or an impossible split.
    """
    if not isinstance(node.value, dict):
        return {target: _split(node, dataset, target, folder) for target in targets}
    if not any(key in targets for key in node.value):
        if not any(key in FRACTION_KEYS + FOLD_KEYS + GROUP_KEYS for key in node.value):
            node.expected(SPLIT_FORMS)
        return {target: _split(node, dataset, target, folder) for target in targets}
    for key, entry in node.value.items():
        if key not in targets:
            entry.unknown("target of this search", key, targets)
    for target in targets:
        if target not in node.value:
            node.fail(f"expected a split for each target, got none for '{target}'")
    return {target: _split(node.value[target], dataset, target, folder) for target in targets}


def _split(node: Node, dataset: str | Path, target: str, folder: Path) -> SplitSpec:
    if not isinstance(node.value, dict):
        if node.value not in NAMED_SPLITS:
            node.expected(SPLIT_FORMS)
        if node.value == "official":
            if not isinstance(dataset, str):
                node.fail("expected fractions or column for a data set given by path, got 'official'")
            official = DATASETS[dataset].splits.get(target)
            if official is None:
                node.fail(f"expected fractions, got 'official'; {dataset} has no official split")
            if official.rule == "folds":
                node.fail(
                    f"expected one of the official folds of {dataset} as test split, {{fold: 0}} to "
                    "{fold: 4}, got 'official'"
                )
            return SplitSpec("official")
        if isinstance(dataset, str):
            node.fail(
                f"expected fractions or official for {dataset}, got 'column', "
                "which is for a data set given by path"
            )
        return SplitSpec("column")
    if "fold" in node.value:
        return _fold(node, node.value, dataset, target)
    if "group" in node.value:
        return _groups(node, node.value)
    if any(isinstance(node.value[part].value, list | str) for part in PARTS if part in node.value):
        return _lists(node, node.value, folder)
    return _fractions(node, node.value)


def _fractions(node: Node, given: dict[str, Node]) -> SplitSpec:
    for key, entry in given.items():
        if key not in FRACTION_KEYS:
            entry.unknown("key", key, FRACTION_KEYS)
    parts: dict[str, float] = {"train": SplitSpec.train, "val": SplitSpec.val, "test": SplitSpec.test}
    for key in parts.keys() & given.keys():
        parts[key] = given[key].number("a fraction above 0", above=0)
    if sum(parts.values()) > 1 + 1e-9:
        total = " + ".join(f"{key} {part:g}" for key, part in parts.items())
        node.fail(f"expected fractions that sum to at most 1, got {total} = {sum(parts.values()):g}")
    seed = given["seed"].whole(at_least=0) if "seed" in given else SplitSpec.seed
    return SplitSpec("fractions", parts["train"], parts["val"], parts["test"], seed)


def _fold(node: Node, given: dict[str, Node], dataset: str | Path, target: str) -> SplitSpec:
    official = DATASETS[dataset].splits.get(target) if isinstance(dataset, str) else None
    if official is None or official.rule != "folds":
        node.fail(f"expected another split, got a fold; {dataset} has no official folds")
    for key, entry in given.items():
        if key not in FOLD_KEYS:
            entry.unknown("key", key, FOLD_KEYS)
    fold = given["fold"].whole(at_least=0)
    if fold >= len(official.fold_sha256):
        given["fold"].expected(f"a fold from 0 to {len(official.fold_sha256) - 1}")
    val = given["val"].number("a part between 0 and 1", above=0) if "val" in given else SplitSpec.val
    if val >= 1:
        given["val"].expected("a part between 0 and 1")
    seed = given["seed"].whole(at_least=0) if "seed" in given else SplitSpec.seed
    return SplitSpec("fold", train=1 - val, val=val, seed=seed, fold=fold)


def _groups(node: Node, given: dict[str, Node]) -> SplitSpec:
    """Whole groups: val and test are shares, or names of groups; train is what is left."""
    for key, entry in given.items():
        if key == "train":
            entry.fail("expected only val and test beside group; training crystals are what they leave over")
        if key not in GROUP_KEYS:
            entry.unknown("key", key, GROUP_KEYS)
    kind = given["group"].one_of("group", GROUPS)
    val, test = (_wanted(given.get(part)) for part in ("val", "test"))
    shares = [share for share in (val, test) if isinstance(share, float)]
    if sum(shares) >= 1:
        node.fail(f"expected shares of val and test that leave crystals to train on, got {sum(shares):g}")
    seed = given["seed"].whole(at_least=0) if "seed" in given else SplitSpec.seed
    return SplitSpec("groups", seed=seed, group=kind, val_groups=val, test_groups=test)


def _wanted(node: Node | None) -> Wanted:
    if node is None:
        return SplitSpec.val
    what = "a share between 0 and 1, or the name of a group or a list of names"
    if isinstance(node.value, list):
        return tuple(entry.text(what) for entry in node.distinct(what))
    if isinstance(node.value, str):
        return (node.text(what),)
    share = node.number(what, above=0)
    if share >= 1:
        node.expected(what)
    return share


def _lists(node: Node, given: dict[str, Node], folder: Path) -> SplitSpec:
    """The ids of each part, in the search space or in files."""
    for key, entry in given.items():
        if key not in PARTS:
            entry.unknown("key", key, PARTS)
    for part in PARTS:
        if part not in given:
            node.fail(f"expected ids or a file of ids for train, val and test, got none for {part}")
    return SplitSpec("lists", lists=tuple(id_list(given[part], folder) for part in PARTS))
