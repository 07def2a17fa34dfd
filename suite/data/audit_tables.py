"""What `audit` found, as tables that fit 100 columns."""

from collections.abc import Iterator
from typing import Any, Literal

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crystalformer.data.elements import SYMBOLS

NAMED = 5  # outliers, ids and rare elements that are named
BLOCKS = " ▁▂▃▄▅▆▇█"


def page(found: dict[str, Any]) -> RenderableType:
    """Everything, in the order in which one looks at it."""
    parts: list[RenderableType] = [_summary(found), "", _distributions(found), ""]
    for target, split in found["splits"].items():
        parts += [_split(target, split), ""]
    return Group(*parts, *(Text(line) for line in _remarks(found)))


def _summary(found: dict[str, Any]) -> Table:
    table = _table(f"{found['name']} ({found['digest'][:12]})", "", "", header=False)
    disordered = f", {found['disordered']:,} of them disordered" if found["disordered"] else ""
    atoms = f"{found['atoms']:,} atoms, cells {found['cell']}"
    table.add_row("crystals", Text(f"{found['crystals']:,}{disordered}, {atoms}"))
    rejected = f"{found['rejected_rows']:,} rows, {found['rejected_values']:,} values"
    table.add_row("rejected", Text(rejected + (f": {found['report']}" if found["report"] else "")))
    elements = sorted(found["elements"].items(), key=lambda item: (-item[1], int(item[0])))
    most = ", ".join(f"{_symbol(z)} {count:,}" for z, count in elements[:NAMED])
    least = ", ".join(f"{_symbol(z)} {count:,}" for z, count in elements[-NAMED:][::-1])
    table.add_row("elements", Text(f"{len(elements)}: most in {most} crystals; least in {least}"))
    own = found["duplicates"]
    near = f"{own['near']:,} crystals have a near-duplicate, {own['same_cell']:,} one of the same cell"
    table.add_row("duplicates", Text(f"{near} ({own['rule']})"))
    return table


def _distributions(found: dict[str, Any]) -> Table:
    table = _table("Distributions", "", "n", "missing", "mean ± sd", "least", "median", "most", "histogram")
    columns = {"atoms per cell": found["atoms_per_cell"]}
    columns |= {f"{name} [{entry['unit'] or '?'}]": entry for name, entry in found["targets"].items()}
    for name, entry in columns.items():
        at = entry["quantiles"]
        numbers = [
            f"{entry['mean']:.4g} ± {entry['sd']:.3g}",
            *(f"{at[q]:.4g}" for q in ("0.0", "0.5", "1.0")),
        ]
        counts = (f"{entry['count']:,}", f"{entry.get('missing', 0):,}")
        table.add_row(*map(Text, (name, *counts, *numbers, _bars(entry["histogram"]["counts"]))))
    return table


def _split(target: str, split: dict[str, Any]) -> Table:
    title = f"Split for {target}: {split.get('rule', split.get('error'))}"
    table = _table(title, "", "crystals", "mean ± sd", "near in train", "same cell", "elements not in train")
    for label in ("train", "val", "test") if "rule" in split else ():
        values = split["values"][label]
        shared = split["shared"].get(f"{label} in train")
        unseen = split["elements_not_in_train"].get(label, {})
        names = ", ".join(f"{_symbol(z)} ({len(ids)})" for z, ids in list(unseen.items())[:NAMED])
        more = f", and {len(unseen) - NAMED} more" if len(unseen) > NAMED else ""
        table.add_row(
            label,
            f"{split[label]:,}",
            f"{values['mean']:.4g} ± {values['sd']:.3g}",
            "" if shared is None else f"{shared['near']:,} ({shared['near'] / split[label]:.1%})",
            "" if shared is None else f"{shared['same_cell']:,}",
            Text((names + more) or ("" if shared is None else "none")),
        )
    return table


def _remarks(found: dict[str, Any]) -> Iterator[str]:
    for name, entry in found["targets"].items():
        outliers = entry["outliers"]
        if outliers:
            named = ", ".join(f"{o['id']} {o['value']:.4g} ({o['sd']:+.1f} sd)" for o in outliers[:NAMED])
            more = f", and {len(outliers) - NAMED} more" if len(outliers) > NAMED else ""
            beyond = f"{len(outliers):,} beyond {entry['outliers_beyond_sd']:g} sd of the mean"
            yield f"{name}: {beyond}: {named}{more}"
        else:
            yield f"{name}: no value beyond {entry['outliers_beyond_sd']:g} sd of the mean"
        if entry["unit"] is None:
            yield f"{name}: no unit is known; data.unit says it"
    for column, example in found["ignored_columns"].items():
        yield f"column {column} is no target: {example}"


def _table(title: str, *columns: str, header: bool = True) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, show_header=header, title_justify="left", pad_edge=False)
    for number, column in enumerate(columns):
        side: Literal["left", "right"] = "left" if number == 0 or not header else "right"
        table.add_column(column, overflow="fold", justify=side, no_wrap=column == "histogram")
    return table


def _bars(counts: list[int]) -> str:
    most = max(counts) or 1
    return "".join(BLOCKS[-(-count * 8 // most)] for count in counts)


def _symbol(z: str) -> str:
    return SYMBOLS[int(z) - 1]
