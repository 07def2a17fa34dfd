"""The curves as a printed table, as CSV, and in a sentence per model."""

import math
from collections.abc import Sequence

import pandas as pd

from reports.data_size.curve import COLUMNS, SizeCurve
from reports.render import Cell, PrintedRow, PrintedTable, in_unit, markdown_table
from reports.rounding import count, significant, with_sd

PER_DOUBLING = (
    "Per doubling: what a least-squares line through log(error) over log(number of training crystals) says "
    "of twice as many crystals, between the numbers that were measured."
)
SEEN = "Crystals seen: training crystals times epochs. Compare errors of models that have seen about as many."


def printed_curve(curve: SizeCurve) -> PrintedTable:
    """A row per model and floor, a column per number of training crystals."""
    quantity = in_unit("Test MAE", curve.unit)
    header = (
        "Model",
        "Crystals seen",
        *(f"{quantity}, trained on {size:,}" for size in curve.sizes),
        "Per doubling (%)",
    )
    rows = tuple(_row(curve, label) for label in curve.labels)
    notes = (
        f"The same {curve.test_crystals:,} test crystals in every column; mean ± standard deviation over the "
        "seeds. Each number of training crystals is a search of its own.",
        SEEN,
        PER_DOUBLING,
    )
    title = f"{curve.target} on {curve.dataset}: error against the number of training crystals"
    return PrintedTable(curve.slug, title, header, rows, notes)


def _row(curve: SizeCurve, label: str) -> PrintedRow:
    points = curve.of(label).set_index("train_crystals")
    cells = tuple(_error(points, size) for size in curve.sizes)
    runs = tuple(run for ids in points["run_ids"] for run in str(ids).split())
    return PrintedRow(label, (Cell(_seen(curve, label)), *cells, Cell(change(curve, label))), runs)


def _seen(curve: SizeCurve, label: str) -> str:
    seen = curve.seen(label)
    return "" if seen is None else " to ".join(dict.fromkeys(map(count, seen)))


def _error(points: pd.DataFrame, size: int) -> Cell:
    if size not in points.index:
        return Cell("not run")
    row = points.loc[size]
    value, sd = with_sd(float(row["mae"]), float(row["sd"]))
    seeds, expected = int(row["n_seeds"]), int(row["n_expected"])
    return Cell(value if seeds == expected else f"{value} ({seeds} of {expected} seeds)", sd)


def change(curve: SizeCurve, label: str) -> str:
    """The change of the error per doubling in per cent, with its sign; nothing where it is not known."""
    factor = curve.per_doubling(label)
    if math.isnan(factor):
        return ""
    percent = 100 * (factor - 1)
    if abs(percent) < 0.05:
        return "0"
    sign = "\N{MINUS SIGN}" if percent < 0 else "+"
    return f"{sign}{significant(abs(percent), 2)}"


def sentences(curve: SizeCurve) -> tuple[str, ...]:
    """What each model gains by more crystals, in words."""
    found = []
    for label in curve.labels:
        points, change_ = curve.of(label), change(curve, label)
        if not change_ or (points["kind"] == "floor").any():
            continue
        first, last = points.iloc[0], points.iloc[-1]
        unit = f" {curve.unit}" if curve.unit else ""
        found.append(
            f"{label}: from {significant(first['mae'])}{unit} with {first['train_crystals']:,} training "
            f"crystals to {significant(last['mae'])}{unit} with {last['train_crystals']:,}, "
            f"{change_} % per doubling."
        )
    return tuple(found)


def curves_markdown(curves: Sequence[SizeCurve]) -> str:
    """All tables as Markdown."""
    return "\n".join(markdown_table(printed_curve(curve)) for curve in curves)


def curves_csv(curves: Sequence[SizeCurve]) -> str:
    """One row per point, unrounded."""
    tables = [
        curve.points[COLUMNS].assign(dataset=curve.dataset, target=curve.target, unit=curve.unit)
        for curve in curves
    ]
    columns = ["dataset", "target", "unit", *COLUMNS]
    return str(pd.concat(tables)[columns].to_csv(index=False, lineterminator="\n"))
