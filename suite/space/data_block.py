"""The `data` block of a search space: which data set, which targets, how it is split."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crystalformer.data.catalog import DATASETS
from crystalformer.data.cell_names import AS_GIVEN, CELLS
from suite.space.node import Node

FRACTION_KEYS = ("train", "val", "test", "seed")
FOLD_KEYS = ("fold", "val", "seed")
NAMED_SPLITS = ("official", "column")
SPLIT_FORMS = (
    "fractions {train: 0.8, val: 0.1, test: 0.1, seed: 123}, official, {fold: 0}, column, or one of these "
    "per target"
)


@dataclass(frozen=True)
class SplitSpec:
    """The rule of a split.

    `kind` is "fractions" (then train, val and test are parts of the crystals, shuffled with `seed`),
    "official" (the published split of a named data set), "fold" (one of its published folds is the test
    split; the part `val` of the other crystals, shuffled with `seed`, validates) or "column" (the labels in
    the user's own table).
    """

    kind: Literal["fractions", "official", "fold", "column"] = "fractions"
    train: float = 0.8
    val: float = 0.1
    test: float = 0.1
    seed: int = 123
    fold: int | None = None


@dataclass(frozen=True)
class DataSpec:
    """What a search is about.

    Attributes:
        dataset: a name of the catalogue, or the path of the user's own table or folder.
        targets: the properties; each is a study of its own.
        split: target -> rule.
        unit: of the targets of a data set given by path, None if not stated; the catalogue knows the others.
        max_rejected: how many crystals may be left out, for lacking a target or being unreadable.
        cell: which cell of each crystal is used.
        subset: so many crystals, drawn with the seed of the split, are divided by it; None: all.
    """

    dataset: str | Path
    targets: tuple[str, ...]
    split: Mapping[str, SplitSpec]
    unit: str | None
    max_rejected: int
    cell: str = AS_GIVEN
    subset: int | None = None


def read_data(node: Node, folder: Path) -> DataSpec:
    """The checked `data` block; `folder` is where paths in it begin (else: the current folder).

    Raises:
        SpaceError: an unknown data set, target or key, a missing file, or an impossible split.
    """
    block = node.block("data", required=("dataset", "target"))
    dataset = _dataset(block["dataset"], folder)
    targets = _targets(block["target"], dataset)
    unit = block.get("unit")
    if unit is not None and unit.value is not None and isinstance(dataset, str):
        unit.fail(f"expected only beside dataset: {{path: ...}}; the catalogue gives the units of {dataset}")
    rejected = block.get("max_rejected")
    return DataSpec(
        dataset=dataset,
        targets=targets,
        split=_splits(block["split"], targets, dataset)
        if "split" in block
        else dict.fromkeys(targets, SplitSpec()),
        unit=None if unit is None or unit.value is None else unit.text("a unit such as eV/atom"),
        max_rejected=0 if rejected is None else rejected.whole(at_least=0),
        cell=block["cell"].one_of("cell", CELLS) if "cell" in block else AS_GIVEN,
        subset=_subset(block.get("subset"), dataset),
    )


def _subset(node: Node | None, dataset: str | Path) -> int | None:
    if node is None or node.value is None:
        return None
    crystals = node.whole(at_least=3)
    if isinstance(dataset, str) and crystals > DATASETS[dataset].crystals:
        node.expected(f"at most the {DATASETS[dataset].crystals} crystals of {dataset}")
    return crystals


def _dataset(node: Node, folder: Path) -> str | Path:
    if not isinstance(node.value, dict):
        return node.one_of("data set", tuple(DATASETS))
    for key, entry in node.value.items():
        if key != "path":
            entry.unknown("key", key, ("path",))
    if "path" not in node.value:
        node.expected("the name of a data set or {path: my.csv}")
    path_node = node.value["path"]
    given = Path(path_node.text("a path")).expanduser()
    # normpath: "search_spaces/../my.csv" would be refused where search_spaces is a link
    candidates = list(dict.fromkeys(Path(os.path.normpath(base / given)) for base in (folder, Path.cwd())))
    for path in candidates:
        if path.exists():
            return path
    path_node.fail(
        f"expected an existing file or folder, got {str(given)!r}; "
        f"looked for {' and '.join(map(str, candidates))}"
    )


def _targets(node: Node, dataset: str | Path) -> tuple[str, ...]:
    what = "the name of a target or a list of names"
    entries = node.distinct(what) if isinstance(node.value, list) else [node]
    known = tuple(DATASETS[dataset].targets) if isinstance(dataset, str) else None
    names = []
    for entry in entries:
        name = entry.text(what)
        if known is not None and name not in known:
            entry.unknown(f"target of {dataset}", name, known)
        names.append(name)
    return tuple(names)


def _splits(node: Node, targets: tuple[str, ...], dataset: str | Path) -> dict[str, SplitSpec]:
    if not isinstance(node.value, dict):
        return {target: _split(node, dataset, target) for target in targets}
    if not any(key in targets for key in node.value):
        if not any(key in FRACTION_KEYS + FOLD_KEYS for key in node.value):
            node.expected(SPLIT_FORMS)
        return {target: _split(node, dataset, target) for target in targets}
    for key, entry in node.value.items():
        if key not in targets:
            entry.unknown("target of this search", key, targets)
    for target in targets:
        if target not in node.value:
            node.fail(f"expected a split for each target, got none for '{target}'")
    return {target: _split(node.value[target], dataset, target) for target in targets}


def _split(node: Node, dataset: str | Path, target: str) -> SplitSpec:
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
    for key, entry in node.value.items():
        if key not in FRACTION_KEYS:
            entry.unknown("key", key, FRACTION_KEYS)
    parts: dict[str, float] = {"train": SplitSpec.train, "val": SplitSpec.val, "test": SplitSpec.test}
    for key in parts.keys() & node.value.keys():
        parts[key] = node.value[key].number("a fraction above 0", above=0)
    if sum(parts.values()) > 1 + 1e-9:
        total = " + ".join(f"{key} {part:g}" for key, part in parts.items())
        node.fail(f"expected fractions that sum to at most 1, got {total} = {sum(parts.values()):g}")
    seed = node.value["seed"].whole(at_least=0) if "seed" in node.value else SplitSpec.seed
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
