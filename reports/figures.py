"""The pictures of a report: errors with their spread, and learning curves.

Each is drawn twice, for light and for dark pages, and carries a text alternative with the numbers that it
shows.
"""

from functools import partial
from pathlib import Path

from reports import error_plot, plots
from reports.load import Results
from reports.mae_table import MaeTable, Task
from reports.picture import Picture, draw, slug
from reports.render import in_unit
from reports.sections import Section


def figures_section(results: Results, table: MaeTable, figures: Path) -> Section | None:
    """Writes the figures as PNG into the folder `figures` and describes them; None without data."""
    pictures = [picture for task in table.tasks for picture in _of_task(results, table, task, figures)]
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
