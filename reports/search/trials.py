"""The trials of one search as tables: each by itself, and what was tried of each hyper-parameter."""

from typing import Any

import pandas as pd

from reports.render import in_unit
from reports.rounding import count, significant
from reports.run_folder import RunFolder
from reports.sections import Grid

MOST_TRIALS = 200  # rows of the trial table on the page; trials.parquet has them all


def tried_table(trials: pd.DataFrame) -> Grid:
    """What was tried of each hyper-parameter, and its value in the best trial of its model."""
    rows = []
    complete = trials[trials["state"] == "complete"].dropna(subset=["val_mae"])
    best_of = complete.groupby("model")["val_mae"].idxmin()
    for column in _searched(trials):
        model, name = column.split("/", 1)
        values = trials[column].dropna()
        if values.empty:
            continue
        best = complete.at[best_of[model], column] if model in best_of else None
        rows.append((model, name, _extent(values), "" if best is None else _value(best), str(len(values))))
    header = ("Model", "Hyper-parameter", "Values tried", "In the best complete trial", "Trials")
    numeric = (False, False, False, False, True)
    return Grid("Hyper-parameters and the values that were tried", header, numeric, tuple(rows))


def trials_table(folder: RunFolder) -> Grid:
    """The first MOST_TRIALS trials; hyper-parameters share a column, since each model has its own."""
    several = len(folder.targets) > 1  # then each trial names its target, and units may differ
    unit = None if several else folder.search["dataset"]["targets"].get(folder.targets[0])

    def cells(row: dict[str, Any]) -> list[tuple[str, bool, str]]:
        """(column, flush right, text) of one trial."""
        return [
            ("#", True, count(row["number"])),
            *([("Target", False, str(row["target"]))] if several else []),
            ("Model", False, str(row["model"])),
            ("Recipe", False, str(row["recipe"] or "")),
            ("State", False, str(row["state"])),
            (in_unit("Val MAE", unit), True, significant(row["val_mae"], 4)),
            ("Epochs", True, count(row["epochs"])),
            ("Seconds", True, significant(row["seconds"])),
            ("Parameters", True, count(row["parameters"])),
            ("Hyper-parameters", False, settings(row)),
            ("Why it ended", False, str(row["ended"] or "")),
        ]

    rows = [cells(row) for row in folder.trials.head(MOST_TRIALS).to_dict("records")]
    columns = rows[0] if rows else []
    return Grid(
        "Trials",
        tuple(name for name, _, _ in columns),
        tuple(right for _, right, _ in columns),
        tuple(tuple(text for _, _, text in row) for row in rows),
        frozenset({"Hyper-parameters", "Why it ended"}),
    )


def settings(row: dict[str, Any]) -> str:
    """The hyper-parameters of a trial, a row of trials.parquet, in words."""
    values = [
        f"{str(column).split('/', 1)[1]}={_value(value)}"
        for column, value in row.items()
        if str(column).startswith(f"{row['model']}/") and pd.notna(value)
    ]
    if pd.notna(row.get("images_radius")):
        bound = row.get("truncation_bound")
        stated = f"bound on what it leaves out {bound:.2g}" if pd.notna(bound) else "without a bound"
        values.append(f"images within {row['images_radius']:.4g} Å ({stated})")
    return ", ".join(values)


def _searched(trials: pd.DataFrame) -> list[str]:
    """Columns `model/name` of the hyper-parameters that were searched."""
    return [str(column) for column in trials.columns if "/" in str(column)]


def _extent(values: pd.Series) -> str:
    different = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if len(different) > 6 and not isinstance(different[-1], str):
        return f"{_value(different[0])} to {_value(different[-1])}"
    return ", ".join(_value(value) for value in different[:12]) + (", …" if len(different) > 12 else "")


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
