"""Two plots of a report, and in words what each of them shows; the errors have a file of their own.

Every plot function takes frames and a theme and returns a Matplotlib figure; a model has one colour
everywhere.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from reports.load import Results
from reports.mae_table import MaeTable, Task
from reports.render import in_unit
from reports.rounding import significant
from reports.theme import Theme

WIDTH = 7.4  # inches; the page shows it at most this wide
STYLES = ("-", "--", "-.", ":")  # of lines: six models each, since twelve colours are hard to tell apart


def unit_of(table: MaeTable, task: Task) -> str | None:
    """The unit of a task's target, None where it is not known."""
    unit = table.measured(task)["unit"].iloc[0]
    return unit if isinstance(unit, str) else None


def candidates_of(table: MaeTable, task: Task) -> list[tuple[str, str, str]]:
    """(candidate, model, experiment) of a task in table order."""
    return named(table.measured(task))


def named(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """(candidate, model, experiment) of these rows, each once, in their order."""
    return list(dict.fromkeys(zip(rows["candidate"], rows["model"], rows["experiment"], strict=True)))


def chosen(frame: pd.DataFrame, experiment: str, model: str, target: str) -> pd.DataFrame:
    """The rows of one target that belong to the best trial of a model in an experiment."""
    match = (frame["experiment"] == experiment) & (frame["model"] == model) & (frame["target"] == target)
    return frame[match & (frame["rank"] == 1)]


def learning_curves(results: Results, table: MaeTable, task: Task, theme: Theme) -> Figure:
    """Validation error by epoch of each candidate: the mean of its seeds in the range of all."""
    candidates = candidates_of(table, task)
    many = len(candidates) > 5  # then bands are faint, and the legend is no longer inside
    figure = Figure(figsize=(WIDTH, 4.4 if many else 3.6))
    axes = figure.add_subplot()
    for index, (candidate, model, experiment) in enumerate(candidates):
        curves = chosen(results.curves, experiment, model, task.target)
        per_epoch = curves.groupby("epoch")["val_mae"]
        mean, colour = per_epoch.mean(), theme.colour(model)
        axes.plot(mean.index, mean, STYLES[index // 6 % len(STYLES)], color=colour, label=candidate)
        axes.fill_between(
            mean.index,
            per_epoch.min(),
            per_epoch.max(),
            color=colour,
            alpha=0.07 if many else 0.18,
            linewidth=0,
        )
    floors = table.floors(task)
    for index, row in enumerate(floors[floors["split"] == "val"].itertuples()):
        axes.axhline(row.mae, color=theme.muted, linestyle=(":", (0, (1, 3)))[index % 2], label=row.candidate)
    if many:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.1, handlelength=2.6)
    else:
        axes.legend(loc="upper right")
    axes.set_xlabel("epoch")
    axes.set_ylabel(in_unit("validation MAE", unit_of(table, task)))
    axes.set_yscale("log")
    plain_log_ticks(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plain_log_ticks(axes: Axes) -> None:
    """Numbers as in the tables (0.05, not 5 x 10^-2), and only as many as fit."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    if high / low < 5:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_minor_locator(NullLocator())


def curves_alt(results: Results, table: MaeTable, task: Task) -> str:
    """What `learning_curves` shows, in words."""
    ends = []
    for candidate, model, experiment in candidates_of(table, task):
        curves = chosen(results.curves, experiment, model, task.target)
        mean = curves.groupby("epoch")["val_mae"].mean()
        ends.append(
            f"{candidate} from {significant(mean.iloc[0])} to {significant(mean.iloc[-1])} in {len(mean)} "
            f"epochs"
        )
    floors = table.floors(task)
    ends += [
        f"{row.candidate} {significant(row.mae)}, a horizontal line"
        for row in floors[floors["split"] == "val"].itertuples()
    ]
    return f"Learning curves of the final runs, validation MAE of {task.target}: {'; '.join(ends)}."
