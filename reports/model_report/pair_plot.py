"""Two models against each other: their residuals, and how their errors differ in groups of crystals."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.ablation.terms import signed
from reports.model_report.breakdown import PANELS
from reports.model_report.density import diagonal, draw_points, one_scale
from reports.model_report.pairs import GroupDifference, Pair
from reports.plots import WIDTH
from reports.render import in_unit
from reports.theme import Theme

SHARE = 99.5  # per cent of the residuals that the panel shows; a few far ones would press it together


def pair_plot(pair: Pair, unit: str | None, theme: Theme) -> Figure:
    """Residual against residual, and the mean difference by target, size and symmetry."""
    shown = [name for name in PANELS if any(each.group.grouping == name for each in pair.groups)]
    figure = Figure(figsize=(WIDTH, 3.5 if len(shown) == 1 else 6.6))
    grid = (1, 2) if len(shown) == 1 else (2, 2)
    panels = np.atleast_1d(figure.subplots(*grid, squeeze=False)).ravel()
    _residuals(figure, panels[0], pair, unit, theme)
    for axes, name in zip(panels[1:], shown, strict=False):
        mine = [each for each in pair.groups if each.group.grouping == name]
        _differences(axes, mine, theme.colour(pair.first.model), theme)
        axes.set_title(f"By {name}")
        axes.set_xlabel(in_unit("difference of MAE", unit))
    for axes in panels[1 + len(shown) :]:
        axes.set_visible(False)
    return figure


def _residuals(figure: Figure, axes: Axes, pair: Pair, unit: str | None, theme: Theme) -> None:
    x, y = pair.table["first"], pair.table["second"]
    limit = float(np.percentile(np.abs(np.concatenate([x, y])), SHARE)) or 1.0
    extent = (-limit, limit, -limit, limit)
    inside = (x.abs() <= limit) & (y.abs() <= limit)
    drawn = draw_points(axes, x[inside], y[inside], extent, theme.colour(pair.first.model))
    diagonal(axes, -limit, limit, theme)
    axes.axhline(0, color=theme.muted, linewidth=0.8, zorder=1)
    axes.axvline(0, color=theme.muted, linewidth=0.8, zorder=1)
    axes.set_title("Predicted minus calculated")
    axes.set_xlabel(in_unit(pair.first.candidate, unit))
    axes.set_ylabel(in_unit(pair.second.candidate, unit))
    one_scale(figure, [axes], [drawn])


def _differences(axes: Axes, found: list[GroupDifference], colour: str, theme: Theme) -> None:
    axes.axvline(0, color=theme.muted, linewidth=1, linestyle="--", zorder=1)
    for place, each in enumerate(found):
        if np.isfinite(each.low):
            axes.hlines(place, each.low, each.high, color=colour, linewidth=1.6, zorder=2)
        face = colour if each.shown else theme.paper
        axes.plot(
            each.mean,
            place,
            "o",
            color=colour,
            markerfacecolor=face,
            markersize=7,
            markeredgewidth=1.6,
            zorder=3,
        )
    axes.set_yticks(range(len(found)), [f"{each.group.name} ({each.crystals:,})" for each in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    spread = [end for each in found if each.crystals > 2 for end in (each.low, each.high)]
    if any(spread):  # an interval of two crystals says nothing and may be far wider than all others
        margin = 0.1 * (max(*spread, 0) - min(*spread, 0))
        axes.set_xlim(min(*spread, 0) - margin, max(*spread, 0) + margin)


def pair_alt(pair: Pair, unit: str | None) -> str:
    """The differences in words."""
    parts = [
        f"{each.group.grouping} {each.group.name}: {signed(each.mean)} ({each.crystals:,} crystals)"
        for each in pair.groups
        if each.group.grouping in PANELS
    ]
    return (
        f"Residuals of {pair.second.candidate} against those of {pair.first.candidate} for "
        f"{len(pair.table):,} crystals, and the mean difference of their absolute errors"
        f"{f' in {unit}' if unit else ''}, second minus first, in groups: {'; '.join(parts)}."
    )
