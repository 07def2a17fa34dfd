"""The errors of all models and floors in one plot, and the same in words."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.load import Results
from reports.mae_table import MaeTable, Task
from reports.plots import WIDTH, candidates_of, chosen, named, unit_of
from reports.render import in_unit
from reports.rounding import significant, with_sd
from reports.theme import Theme


def errors(results: Results, table: MaeTable, task: Task, theme: Theme) -> Figure:
    """Errors of each candidate, in table order, and of the floors: a dot for each seed."""
    floors = table.floors(task)
    candidates = candidates_of(table, task) + named(floors)
    figure = Figure(figsize=(WIDTH, 1.25 + (0.55 if len(candidates) < 7 else 0.42) * len(candidates)))
    axes = figure.add_subplot()
    rows = pd.concat([table.measured(task), floors])
    for position, (candidate, model, experiment) in enumerate(candidates):
        for split, offset, filled in (("val", -0.14, False), ("test", 0.14, True)):
            row = rows[(rows["candidate"] == candidate) & (rows["split"] == split)]
            if row.empty:
                continue
            seeds = chosen(results.runs, experiment, model, task.target)
            seeds = seeds[seeds["split"] == split]["mae"]
            colour = theme.colour(model)
            axes.plot(
                seeds,
                [position + 1.8 * offset] * len(seeds),
                ".",
                color=colour,
                alpha=0.45,
                markersize=5,
                zorder=2,
            )
            axes.errorbar(
                row["mae"], [position + offset], xerr=row["sd"].fillna(0), fmt="o", color=colour,
                capsize=3.5, markersize=7.5,
                markerfacecolor=colour if filled else theme.paper, markeredgewidth=1.6, elinewidth=1.6,
                zorder=3,
            )  # fmt: skip
    for split, filled in (("validation", False), ("test", True)):
        face = theme.muted if filled else theme.paper
        axes.plot([], [], "o", color=theme.muted, markerfacecolor=face, markeredgewidth=1.6, label=split)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.1, handletextpad=0.2)
    axes.set_yticks(range(len(candidates)), [candidate for candidate, _, _ in candidates])
    axes.set_ylim(len(candidates) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(in_unit(f"MAE of {task.target}", unit_of(table, task)))
    _keep_near_floors(axes, table.measured(task), floors, len(candidates), theme)
    return figure


def _keep_near_floors(
    axes: Axes, models: pd.DataFrame, floors: pd.DataFrame, candidates: int, theme: Theme
) -> None:
    """Floors far beyond the models would press these together: such a floor is an arrow with its value."""
    low, high = models["mae"].min(), (models["mae"] + models["sd"].fillna(0)).max()
    limit = high + 1.5 * max(high - low, 0.1 * high)
    far = floors[floors["mae"] > limit]
    if far.empty:
        return
    axes.set_xlim(right=limit)
    names = list(dict.fromkeys(floors["candidate"]))
    for candidate, rows in far.groupby("candidate", sort=False):
        position = candidates - len(names) + names.index(candidate)
        values = ", ".join(
            f"{'validation' if row.split == 'val' else 'test'} {significant(row.mae)}"
            for row in rows.itertuples()
        )
        axes.text(
            0.99, position, f"{values} \N{RIGHTWARDS ARROW}", transform=axes.get_yaxis_transform(),
            ha="right", va="center", color=theme.muted,
        )  # fmt: skip


def errors_alt(table: MaeTable, task: Task) -> str:
    """What `errors` shows, in words."""
    unit = unit_of(table, task)
    parts = []
    shown = pd.concat([table.measured(task), table.floors(task)])
    for candidate, rows in shown.groupby("candidate", sort=False):
        values = []
        for row in rows.to_dict("records"):
            value, sd = with_sd(row["mae"], row["sd"])
            values.append(
                f"{'validation' if row['split'] == 'val' else 'test'} {value}{f' ± {sd}' if sd else ''}"
            )
        parts.append(f"{candidate}: {', '.join(values)}")
    quantity = in_unit(f"mean absolute errors of {task.target}", unit)
    return f"Dot plot of the {quantity}. {'; '.join(parts)}."
