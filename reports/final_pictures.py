"""Pictures of every final run, for TensorBoard.

Each complete final run of a model gets `parity.png` and, where the run folder describes its crystals,
`elements.png` beside its predictions. Those that are younger than the predictions stay.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports.mae_table import Task
from reports.model_report.group_errors import group_errors
from reports.model_report.parity import parity
from reports.model_report.per_crystal import COLUMNS, CrystalErrors, TaskErrors, read_crystals
from reports.model_report.periodic import periodic_table
from reports.picture import png
from reports.run_folder import FinalRun, read_run_folder
from reports.sections import PeriodicTable
from reports.theme import THEMES, Theme, style

PARITY, ELEMENTS = "parity.png", "elements.png"


def draw_finals(run: Path) -> list[Path]:
    """Writes the pictures that are not there yet; their files."""
    crystals, written = read_crystals(run), []
    for final in read_run_folder(run).finals:
        folder = run / "final" / str(final.record["run_id"])
        if final.record.get("floor") or _up_to_date(folder):
            continue
        errors = _errors(final, crystals)
        with style(THEMES[0]):
            (folder / PARITY).write_bytes(png(parity(errors, THEMES[0])))
            written.append(folder / PARITY)
            table = periodic_table(errors, errors.models[0], group_errors(errors), titled=True)
            if table is not None:
                (folder / ELEMENTS).write_bytes(png(elements(table, THEMES[0])))
                written.append(folder / ELEMENTS)
    return written


def _up_to_date(folder: Path) -> bool:
    picture = folder / PARITY
    return picture.is_file() and picture.stat().st_mtime >= (folder / "predictions.parquet").stat().st_mtime


def _errors(final: FinalRun, crystals: pd.DataFrame | None) -> TaskErrors:
    """One run alone, as the model report takes a model; on test, or validation where test was not read."""
    record, split = final.record, "test" if "test" in final.metrics else "val"
    mine = final.predictions[final.predictions["split"] == split].set_index("id")
    table = mine[["y_true", "y_pred"]].assign(
        spread=np.nan, error=(mine["y_true"] - mine["y_pred"]).abs(), seeds=1
    )
    name = f"{record['label']}, seed {record['seed']}, {'test' if split == 'test' else 'validation'}"
    model = CrystalErrors(name, record["model"], record["run_id"], final.metrics[split]["mae"], table)
    known = None if crystals is None or not set(table.index) <= set(crystals.index) else crystals
    described = (
        pd.DataFrame(index=table.index, columns=COLUMNS[1:]) if known is None else known.loc[table.index]
    )
    task = Task(str(record["dataset"]), str(record["target"]))
    return TaskErrors(task, record["unit"], split, (model,), described, None)


def elements(table: PeriodicTable, theme: Theme) -> Figure:
    """The periodic table of the page as a figure."""
    figure = Figure(figsize=(9, 5.4))
    axes = figure.add_subplot()
    colours = colormaps["viridis"]
    for cell in table.cells:
        corner = (cell.column + 0.03, cell.row + 0.03)
        if cell.share is None:
            axes.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=theme.grid))
            ink = theme.muted
        else:
            axes.add_patch(Rectangle(corner, 0.94, 0.94, color=colours(cell.share / 100)))
            ink = "white" if cell.share < 60 else "black"
        axes.text(
            cell.column + 0.5, cell.row + 0.5, cell.symbol, ha="center", va="center", color=ink, fontsize=8
        )
    axes.imshow([np.linspace(0, 1, 64)], cmap=colours, extent=(3.1, 11.9, 1.85, 1.3), aspect="auto")
    for at, text in ((3.1, table.low), (11.9, table.high)):
        axes.text(at, 1.15, text, ha="center", va="bottom", color=theme.ink, fontsize=8)
    axes.set(xlim=(0, 18), ylim=(10, 0), aspect="equal", title=table.title)
    axes.set_axis_off()
    figure.text(0.5, 0.02, table.caption, ha="center", fontsize=8, color=theme.muted, wrap=True)
    return figure
