"""The registry as a table for readers and as plain objects for programs."""

from collections.abc import Mapping

from rich import box
from rich.table import Table
from rich.text import Text
from torch import nn

from crystalformer.entry import ModelEntry


def parameter_count(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def registry_rows(models: Mapping[str, ModelEntry]) -> list[dict[str, str | int]]:
    """One object per model; `parameters` is counted by building its published configuration."""
    return [
        {
            "name": key,
            "parameters": parameter_count(entry.build(entry.config())),
            "published_parameters": entry.published_parameters,
            "graph": entry.graph,
            "paper": entry.paper,
        }
        for key, entry in models.items()
    ]


def registry_table(models: Mapping[str, ModelEntry]) -> Table:
    """The same for `rich`, with the names shown to readers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("key", "model"):
        table.add_column(name, no_wrap=True)
    table.add_column("paper", overflow="fold")
    for name in ("parameters", "published"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("graph", overflow="fold")
    for row in registry_rows(models):
        counts = (f"{row[name]:,}" for name in ("parameters", "published_parameters"))
        cells = (row["name"], models[str(row["name"])].label, row["paper"], *counts, row["graph"])
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table
