"""The learning curves of the trials, a panel per model, with the rungs at which they were compared."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.plots import plain_log_ticks
from reports.render import in_unit
from reports.rounding import significant
from reports.search.curves import sampled
from reports.search.panels import panels
from reports.search.searched import Branch
from reports.theme import Theme

COLUMNS = 3
MANY = 20  # curves of a panel from which on they are thin


def curves_plot(
    branches: Sequence[Branch], curves: dict[str, np.ndarray], rungs: Sequence[int], theme: Theme
) -> Figure:
    """Complete trials in the model's colour, others grey; dashed lines at the rungs."""
    columns = min(COLUMNS, len(branches))
    heights = [2.6 if columns == 1 else 1.75] * -(-len(branches) // columns)
    figure, drawn = panels(len(branches), columns, heights, left=0.75, sharex=True, sharey=True)
    for axes, branch in zip(drawn, branches, strict=True):
        _panel(axes, branch, curves, rungs, theme)
    drawn[0].set_yscale("log")
    drawn[0].set_ylim(*_limits(branches, curves))
    drawn[0].set_xlim(left=0)
    plain_log_ticks(drawn[0])
    for axes in drawn[::columns]:
        axes.set_ylabel(in_unit("val MAE", branches[0].unit))
    for axes in drawn[-columns:]:
        axes.set_xlabel("epoch")
    return figure


def _panel(
    axes: Axes, branch: Branch, curves: dict[str, np.ndarray], rungs: Sequence[int], theme: Theme
) -> None:
    shown = sampled(branch)
    complete = set(branch.complete["trial_id"])
    for done, colour, alpha in ((False, theme.muted, 0.45), (True, theme.colour(branch.model), 0.8)):
        lines = [
            np.column_stack([np.arange(1, len(curves[each]) + 1), curves[each]])
            for each in shown["trial_id"]
            if each in curves and (each in complete) == done
        ]
        width = 0.6 if len(shown) > MANY else 1.1
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, alpha=alpha))
        ends = [line[-1] for line in lines]
        if ends and not done:  # where they ended
            axes.plot(*zip(*ends, strict=True), ".", color=colour, markersize=2.5, alpha=0.8)
    for rung in rungs:
        axes.axvline(rung, color=theme.muted, linewidth=0.8, linestyle="--", zorder=0)
    axes.set_title(branch.label)
    axes.grid(axis="x", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.autoscale_view()


def _limits(branches: Sequence[Branch], curves: dict[str, np.ndarray]) -> tuple[float, float]:
    """From a little below the lowest error to where all of few drawn curves are, nearly all of many."""
    drawn = [curves[each] for branch in branches for each in sampled(branch)["trial_id"] if each in curves]
    errors = np.concatenate(drawn)
    errors = errors[np.isfinite(errors) & (errors > 0)]
    share = 0.98 if len(drawn) > MANY else 1.0
    return float(errors.min()) / 1.1, float(np.quantile(errors, share)) * 1.1


def curves_alt(branches: Sequence[Branch], curves: dict[str, np.ndarray], rungs: Sequence[int]) -> str:
    """What the panels show, in numbers."""
    parts = []
    for branch in branches:
        mine = [curves[each] for each in branch.trials["trial_id"] if each in curves]
        reached = [f"{sum(len(curve) >= rung for curve in mine):,} to epoch {rung}" for rung in rungs]
        best = f", lowest {significant(branch.complete['val_mae'].min())}" if len(branch.complete) else ""
        ends = ", ".join([*reached, f"{len(branch.complete):,} to the end"])
        parts.append(f"{branch.label}: {len(mine):,} curves, {ends}{best}")
    quantity = in_unit("validation MAE", branches[0].unit)
    return (
        f"Learning curves of the trials, {quantity} against the epoch, a panel per model. {'; '.join(parts)}."
    )
