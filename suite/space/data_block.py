"""The `data` block of a search space: which data set, which targets, how it is split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crystalformer.data.catalog import DATASETS
from crystalformer.data.cell_names import AS_GIVEN, CELLS
from suite.space.node import Node
from suite.space.paths import found_path
from suite.space.split_block import SplitSpec, read_splits


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
        train_crystals: so many of the training crystals, drawn likewise, are trained on; None: all.
        val_crystals: so many of the validation crystals, drawn likewise, validate; None: all.
    """

    dataset: str | Path
    targets: tuple[str, ...]
    split: Mapping[str, SplitSpec]
    unit: str | None
    max_rejected: int
    cell: str = AS_GIVEN
    subset: int | None = None
    train_crystals: int | None = None
    val_crystals: int | None = None


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
        split=read_splits(block["split"], targets, dataset, folder)
        if "split" in block
        else dict.fromkeys(targets, SplitSpec()),
        unit=None if unit is None or unit.value is None else unit.text("a unit such as eV/atom"),
        max_rejected=0 if rejected is None else rejected.whole(at_least=0),
        cell=block["cell"].one_of("cell", CELLS) if "cell" in block else AS_GIVEN,
        subset=_subset(block.get("subset"), dataset),
        train_crystals=_drawn(block.get("train_crystals")),
        val_crystals=_drawn(block.get("val_crystals")),
    )


def _subset(node: Node | None, dataset: str | Path) -> int | None:
    if node is None or node.value is None:
        return None
    crystals = node.whole(at_least=3)
    if isinstance(dataset, str) and crystals > DATASETS[dataset].crystals:
        node.expected(f"at most the {DATASETS[dataset].crystals} crystals of {dataset}")
    return crystals


def _drawn(node: Node | None) -> int | None:
    return None if node is None or node.value is None else node.whole(at_least=1)


def _dataset(node: Node, folder: Path) -> str | Path:
    if not isinstance(node.value, dict):
        return node.one_of("data set", tuple(DATASETS))
    for key, entry in node.value.items():
        if key != "path":
            entry.unknown("key", key, ("path",))
    if "path" not in node.value:
        node.expected("the name of a data set or {path: my.csv}")
    return found_path(node.value["path"], "an existing file or folder", folder)


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
