"""`info`: all that the catalogue knows of a data set."""

from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crystalformer.data.catalog import Dataset
from crystalformer.data.datasets.row import SourceFile
from crystalformer.sources.published.files import place
from suite.data.listing import split_words
from suite.data.state import state, stores

UNKNOWN = "not known"


def page(dataset: Dataset, root: Path) -> RenderableType:
    """Facts, targets, files and what to do, for `rich`; fits 100 columns."""
    parts: list[RenderableType] = [_facts(dataset, root), Text(), _targets(dataset)]
    if dataset.parts:
        parts += [Text(), *_files(dataset, root)]
    return Group(*parts)


def _facts(dataset: Dataset, root: Path) -> Table:
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    here = ", ".join(str(path) for path in stores(dataset, root))
    lines = {
        "data set": f"{dataset.name}: {dataset.label}",
        "crystals": f"{dataset.crystals:,}",
        "state": f"{state(dataset, root)}{f': {here}' if here else ''}",
        "licence": dataset.license,
        "citation": dataset.citation,
        "note": dataset.note,
    }
    for name, words in lines.items():
        if words:
            facts.add_row(name, Text(words))
    return facts


def _targets(dataset: Dataset) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("target", no_wrap=True)
    for name in ("meaning", "unit"):
        table.add_column(name, overflow="fold")
    for name in ("crystals", "published MAD"):
        table.add_column(name, justify="right")
    table.add_column("official split", overflow="fold")
    for name, target in dataset.targets.items():
        mad = UNKNOWN if target.mad is None else f"{target.mad:g}"
        cells = (
            name,
            target.label,
            target.unit,
            f"{dataset.crystals_with(name):,}",
            mad,
            split_words(dataset, name),
        )
        table.add_row(*map(Text, cells))
    return table


def _files(dataset: Dataset, root: Path) -> Iterator[RenderableType]:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    for name in ("file", "SHA-256", "here", "from"):
        table.add_column(name, overflow="fold")
    folder = place(root, dataset)
    for part in dataset.parts:
        for file in part.files:
            here = "yes" if (folder / file.name).is_file() else "no"
            table.add_row(*map(Text, (file.name, _checksum(file), here, "\n".join(file.urls))))
    yield table
    yield Text(f"python -m suite.data prepare {dataset.name}", style="bold")
    yield Text("downloads what is not here. Copied by hand, files are taken by")
    several = len([file for part in dataset.parts for file in part.files]) > 1
    given = "FOLDER" if several else dataset.parts[0].files[0].name
    yield Text(f"python -m suite.data prepare {dataset.name} --from {given}", style="bold")


def _checksum(file: SourceFile) -> str:
    return UNKNOWN if file.sha256 is None else f"{file.sha256[:12]}..."
