"""Two plots of how a search went: every trial by its number, and the best of each model against the training
time that was spent on it.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.plots import STYLES, WIDTH, plain_log_ticks
from reports.render import in_unit
from reports.rounding import significant
from reports.search.searched import Branch
from reports.theme import Theme

MARKERS = {"complete": "o", "stopped": "v", "running": "s", "failed": "x"}
MANY = 300  # trials from which on their marks are small and faint


def history(branches: Sequence[Branch], theme: Theme) -> Figure:
    """Every trial's error by its number, and the lowest so far of each model."""
    figure = Figure(figsize=(WIDTH, 3.9))
    axes = figure.add_subplot()
    many = sum(len(branch.trials) for branch in branches) > MANY
    size, alpha = (2.5, 0.35) if many else (6, 1.0)
    for branch in branches:
        colour = theme.colour(branch.model)
        complete = branch.complete.sort_values("number")
        best = complete["val_mae"].cummin()
        axes.step(complete["number"], best, where="post", color=colour, linewidth=1.3, zorder=4)
        trials = branch.trials[["number", "val_mae", "state"]]
        for state, marker in MARKERS.items():
            points = trials[trials["state"] == state]
            seen = points[points["val_mae"].notna()]
            face = colour if state in ("complete", "failed") else theme.paper
            style: dict[str, Any] = {
                "color": colour,
                "markersize": size,
                "alpha": alpha,
                "markeredgewidth": 0.7 if many else 1,
            }
            axes.plot(seen["number"], seen["val_mae"], marker, markerfacecolor=face, **style)
            unseen = points[points["val_mae"].isna()]["number"]  # no error to show: at the upper edge
            if state == "failed":
                axes.plot(
                    unseen,
                    [0.98] * len(unseen),
                    "x",
                    transform=axes.get_xaxis_transform(),
                    clip_on=False,
                    **style,
                )
        axes.plot([], [], "-", color=colour, label=branch.label, linewidth=4)
    for state in MARKERS:
        if any((branch.trials["state"] == state).any() for branch in branches):
            face = theme.muted if state == "complete" else theme.paper
            axes.plot([], [], MARKERS[state], color=theme.muted, markerfacecolor=face, label=state)
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _errors(axes, branches)
    return figure


def _errors(axes: Axes, branches: Sequence[Branch]) -> None:
    """The axis of the errors, and the legend above."""
    axes.set_yscale("log")
    plain_log_ticks(axes)
    axes.set_ylabel(in_unit("validation MAE", branches[0].unit))
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1.02), ncols=5, borderaxespad=0.1, handletextpad=0.4,
        columnspacing=1.2,
    )  # fmt: skip


def history_alt(branches: Sequence[Branch]) -> str:
    """The numbers of the first plot in words."""
    trials = pd.concat([branch.trials for branch in branches])
    counted = ", ".join(f"{number:,} {state}" for state, number in trials["state"].value_counts().items())
    best = [
        f"{branch.label} {significant(branch.complete['val_mae'].min())}"
        for branch in branches
        if len(branch.complete)
    ]
    shown = f"Validation MAE of {len(trials):,} trials ({counted}) by trial number."
    return f"{shown} {in_unit('Lowest', branches[0].unit)}: {'; '.join(best) or 'none is complete'}."


def best_so_far(branch: Branch) -> pd.DataFrame:
    """`hours` of training spent on the model, all of its trials counted, and the lowest error of a complete
    trial by then (`val_mae`, `trial_id`): one row per improvement.

    In the order in which trials ended, in that of their numbers where a run does not say it.
    """
    order = ["finished", "number"] if "finished" in branch.trials else ["number"]
    trials = branch.trials.sort_values(order, kind="stable", na_position="first")
    hours = trials["seconds"].fillna(0).cumsum() / 3600
    errors = trials["val_mae"].where(trials["state"] == "complete")
    better = errors < errors.cummin().shift(fill_value=float("inf")).ffill()
    found = pd.DataFrame({"hours": hours, "val_mae": errors, "trial_id": trials["trial_id"]})
    return found[better].reset_index(drop=True)


def hours_spent(branch: Branch) -> float:
    """Training time of all trials of the model, in hours."""
    return float(branch.trials["seconds"].fillna(0).sum()) / 3600


def progress(branches: Sequence[Branch], theme: Theme) -> Figure:
    """The lowest error so far of each model against the training time spent on it."""
    figure = Figure(figsize=(WIDTH, 3.9))
    axes = figure.add_subplot()
    factor, unit = _time_unit(branches)
    for index, branch in enumerate(branches):
        found = best_so_far(branch)
        if found.empty:
            continue
        ends = [*(found["hours"] * factor), hours_spent(branch) * factor]
        errors = [*found["val_mae"], found["val_mae"].iloc[-1]]
        colour, line = theme.colour(branch.model), STYLES[index // 6 % len(STYLES)]
        axes.step(ends, errors, line, where="post", color=colour, label=branch.label)
        axes.plot(ends[:-1], errors[:-1], "o", color=colour, markersize=3.5)
    axes.set_xlabel(f"training time spent on the model ({unit})")
    _errors(axes, branches)
    return figure


def _time_unit(branches: Sequence[Branch]) -> tuple[float, str]:
    """How many of the unit an hour has, and its name."""
    longest = max(hours_spent(branch) for branch in branches)
    return (1.0, "h") if longest >= 2 else (60.0, "min") if longest >= 1 / 30 else (3600.0, "s")


def progress_alt(branches: Sequence[Branch]) -> str:
    """The numbers of the second plot in words."""
    factor, unit = _time_unit(branches)
    parts = []
    for branch in branches:
        found = best_so_far(branch)
        if len(found):
            first, last = found.iloc[0], found.iloc[-1]
            parts.append(
                f"{branch.label} from {significant(first['val_mae'])} after "
                f"{significant(first['hours'] * factor)} {unit} to {significant(last['val_mae'])} after "
                f"{significant(last['hours'] * factor)} {unit}"
            )
    quantity = in_unit("Lowest validation MAE so far", branches[0].unit)
    return f"{quantity} against the training time spent on each model. {'; '.join(parts)}."
