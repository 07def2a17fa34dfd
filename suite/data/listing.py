"""`list`: every data set in a row, for readers and as objects for programs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from crystalformer.data.catalog import Dataset
from suite.data.state import state

LABELS = ("train", "val", "test")


def rows(datasets: Iterable[Dataset], root: Path) -> list[dict[str, Any]]:
    """One object per data set: name, label, crystals, targets, splits, files, licence, citation, state."""
    return [
        {
            "name": dataset.name,
            "label": dataset.label,
            "crystals": dataset.crystals,
            "targets": {
                name: {
                    "unit": target.unit,
                    "label": target.label,
                    "crystals": dataset.crystals_with(name),
                    "published_mad": target.mad,
                    "official_split": split_words(dataset, name),
                }
                for name, target in dataset.targets.items()
            },
            "files": [
                {"name": file.name, "urls": list(file.urls), "size": file.size, "sha256": file.sha256}
                for part in dataset.parts
                for file in part.files
            ],
            "license": dataset.license,
            "citation": dataset.citation,
            "note": dataset.note,
            "state": state(dataset, root),
        }
        for dataset in datasets
    ]


def table(datasets: Iterable[Dataset], root: Path) -> Table:
    """The same for `rich`; fits 100 columns."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("data set", no_wrap=True)
    shown.add_column("crystals", justify="right", no_wrap=True)
    for name in ("targets", "official split", "state"):
        shown.add_column(name, no_wrap=True)
    for dataset in datasets:
        cells = (
            dataset.name,
            f"{dataset.crystals:,}",
            "\n".join(dataset.targets),
            "\n".join(split_words(dataset, target) for target in dataset.targets),
            state(dataset, root),
        )
        shown.add_row(*map(Text, cells))
    return shown


def markdown(datasets: Iterable[Dataset]) -> str:
    """The tables of docs/datasets.md: the data sets, and their targets."""
    listed = list(datasets)
    lines = ["| data set | what it is | crystals | licence |", "|---|---|---:|---|"]
    lines += [f"| `{row.name}` | {row.label} | {row.crystals:,} | {row.license} |" for row in listed]
    lines += ["", "| target | unit | crystals | MAD | official split |", "|---|---|---:|---:|---|"]
    for row in listed:
        lines.append(f"| **{row.name}** | | | | |")
        for name, target in row.targets.items():
            mad = "" if target.mad is None else f"{target.mad:g}"
            split = split_words(row, name).replace(" ", "\N{NO-BREAK SPACE}")
            lines.append(f"| `{name}` | {target.unit} | {row.crystals_with(name):,} | {mad} | {split} |")
    return "\n".join(lines)


def split_words(dataset: Dataset, target: str) -> str:
    """The official split of a target in a few words."""
    split = dataset.splits.get(target)
    if split is None:
        return "none"
    if split.rule == "folds":
        return "5 folds"
    if not split.counts:
        return "by file"
    return " / ".join(f"{split.counts[label]:,}" for label in LABELS)
