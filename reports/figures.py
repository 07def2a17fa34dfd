"""The pictures of a report: errors with their spread, parity, learning curves and the search's history.

Each is drawn twice, for light and for dark pages, and carries a text alternative with the numbers that it
shows.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports import error_plot, plots
from reports.load import Results
from reports.mae_table import MaeTable, Task
from reports.render import in_unit
from reports.theme import THEMES, Theme, style


@dataclass(frozen=True)
class Picture:
    """One figure on disk, light and dark; `alt` says in words what it shows."""

    title: str
    caption: str
    alt: str
    light: Path
    dark: Path


def draw_all(results: Results, table: MaeTable, folder: Path) -> list[Picture]:
    """Writes every figure as PNG into `folder` (created) and describes it. Figures without data are not
    drawn.
    """
    folder.mkdir(parents=True)
    tasks = [picture for task in table.tasks for picture in _of_task(results, table, task, folder)]
    return tasks + [_history(results, *search, folder) for search in _searches(results)]


def _of_task(results: Results, table: MaeTable, task: Task, folder: Path) -> list[Picture]:
    where = slug(f"{task.dataset}-{task.target}")
    unit = plots.unit_of(table, task)
    error = in_unit("MAE", unit)
    pictures = [
        draw(
            folder / f"errors-{where}",
            f"Errors: {task.target}",
            f"{error}: mean over the seeds with its standard deviation; small dots are single seeds. "
            f"Lower is better.",
            error_plot.errors_alt(table, task),
            partial(error_plot.errors, results, table, task),
        )
    ]
    if "test" in set(table.measured(task)["split"]):
        pictures.append(
            draw(
                folder / f"parity-{where}",
                f"Predicted against calculated: {task.target}",
                f"Test crystals, all seeds{f', in {unit}' if unit else ''}. On the line, both agree.",
                plots.parity_alt(table, task),
                partial(plots.parity, results, table, task),
            )
        )
    pictures.append(
        draw(
            folder / f"learning-curves-{where}",
            f"Learning curves: {task.target}",
            f"Validation {error} of the final runs: mean over the seeds, band from the lowest seed to the "
            f"highest{'; dotted: floors' if len(table.floors(task)) else ''}.",
            plots.curves_alt(results, table, task),
            partial(plots.learning_curves, results, table, task),
        )
    )
    return pictures


def _history(results: Results, experiment: str, target: str, trials: pd.DataFrame, folder: Path) -> Picture:
    unit = results.folders[experiment].search["dataset"]["targets"].get(target)
    where = f", {experiment}" if len(results.folders) > 1 else ""
    return draw(
        folder / f"search-history-{slug(f'{experiment}-{target}')}",
        f"Search history: {target}{where}",
        f"Validation {in_unit('MAE', unit)} of each trial. The line is the lowest so far of each model.",
        plots.history_alt(trials, unit),
        partial(plots.history, trials, unit),
    )


def _searches(results: Results) -> list[tuple[str, str, pd.DataFrame]]:
    """Experiment, target and trials, where at least one trial has an error to show."""
    grouped = results.trials.groupby(["experiment", "target"], sort=False)
    return [
        (str(name), str(target), trials)
        for (name, target), trials in grouped
        if trials["val_mae"].notna().any()
    ]


def draw(path: Path, title: str, caption: str, alt: str, make: Callable[[Theme], Figure]) -> Picture:
    """Writes one figure at `path`, without its suffix, light and dark."""
    paths = []
    for theme in THEMES:
        with style(theme):
            paths.append(path.with_name(f"{path.name}{theme.suffix}.png"))
            # Without the version of Matplotlib in it, the same numbers give the same bytes.
            FigureCanvasAgg(make(theme)).print_png(paths[-1], metadata={"Software": None})
    return Picture(title, caption, alt, *paths)


def slug(text: str) -> str:
    """`text` as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")
