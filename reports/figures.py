"""The pictures of a report: errors with their spread, learning curves and the search's history.

Each is drawn twice, for light and for dark pages, and carries a text alternative with the numbers that it
shows.
"""

from functools import partial
from pathlib import Path

import pandas as pd

from reports import error_plot, plots
from reports.load import Results
from reports.mae_table import MaeTable, Task
from reports.picture import Picture, draw, slug
from reports.render import in_unit
from reports.sections import Section


def figures_section(results: Results, table: MaeTable, figures: Path) -> Section | None:
    """Writes the figures as PNG into the folder `figures` and describes them; None without data."""
    pictures = [picture for task in table.tasks for picture in _of_task(results, table, task, figures)]
    pictures += [_history(results, *search, figures) for search in _searches(results)]
    return Section("figures", "Figures", "Figures", pictures) if pictures else None


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
