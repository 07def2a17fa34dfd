"""The registry as a table for readers and as plain objects for programs."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text
from torch import nn

from crystalformer.entry import ModelEntry


def parameter_count(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def registry_rows(models: Mapping[str, ModelEntry]) -> list[dict[str, Any]]:
    """One object per model; `parameters` is counted by building its published configuration.

    `variants` has an object for each other published configuration, counted likewise.
    """
    return [
        {
            "name": key,
            "parameters": parameter_count(entry.build(entry.config())),
            "published_parameters": entry.published_parameters,
            "graph": entry.graph,
            "paper": entry.paper,
            "variants": list(_variants(entry)),
        }
        for key, entry in models.items()
    ]


def _variants(entry: ModelEntry) -> Iterator[dict[str, Any]]:
    for name, variant in entry.variants.items():
        yield {
            "name": name,
            "settings": dict(variant.settings),
            "parameters": parameter_count(entry.build(entry.config(**variant.settings))),
            "published_parameters": variant.published_parameters,
        }


def registry_table(models: Mapping[str, ModelEntry]) -> Table:
    """The same for `rich`, each variant in an indented row below its model; fits 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for name in ("parameters", "published"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("graph", "paper"):
        table.add_column(name, overflow="fold")
    for row in registry_rows(models):
        table.add_row(*_cells(row["name"], row), Text(row["graph"]), Text(row["paper"]))
        for variant in row["variants"]:
            table.add_row(*_cells(f"  {variant['name']}", variant))
    return table


def registry_markdown(models: Mapping[str, ModelEntry]) -> str:
    """The table of docs/models.md."""
    lines = ["| model | parameters | graph | paper |", "|---|---:|---|---|"]
    for row in registry_rows(models):
        variants = "".join(f"; {other['name']}: {other['parameters']:,}" for other in row["variants"])
        lines.append(
            f"| `{row['name']}` | {row['parameters']:,}{variants} | {row['graph']} | {row['paper']} |"
        )
    return "\n".join(lines)


def _cells(name: str, row: Mapping[str, Any]) -> list[Text]:
    return [Text(name), *(Text(f"{row[count]:,}") for count in ("parameters", "published_parameters"))]
