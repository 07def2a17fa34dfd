"""Many points in one panel: dots where they are few, else the number of crystals per hexagon."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from reports.theme import Theme

FEW = 400  # points; below, every one can be seen
COLOURS = "viridis"

Extent = tuple[float, float, float, float]


def draw_points(axes: Axes, x: pd.Series, y: pd.Series, extent: Extent, colour: str) -> PolyCollection | None:
    """Draws the points; what a colour bar is of, where they are hexagons.

    `extent`: left, right, lower and upper end of the hexagons.
    """
    if len(x) < FEW:
        axes.plot(x, y, "o", color=colour, alpha=0.4, markersize=3.4, markeredgewidth=0)
        return None
    size = 36 if len(x) < 2000 else 54
    style: dict[str, Any] = {"mincnt": 1, "cmap": COLOURS, "linewidths": 0.2}
    return axes.hexbin(x, y, gridsize=size, extent=extent, **style)


def one_scale(figure: Figure, panels: Sequence[Axes], drawn: Sequence[PolyCollection | None]) -> None:
    """One logarithmic colour scale and its bar for the hexagons of several panels."""
    hexagons = [each for each in drawn if each is not None]
    if not hexagons:
        return
    most = max(float(np.asarray(each.get_array()).max()) for each in hexagons)
    for each in hexagons:
        each.set_norm(LogNorm(1, max(most, 2)))
    place: dict[str, Any] = {"location": "top", "shrink": 0.5, "aspect": 40, "pad": 0.02, "format": "%g"}
    bar = figure.colorbar(hexagons[0], ax=list(panels), **place)
    bar.set_label("crystals per hexagon", fontsize=8.5)
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)


def diagonal(axes: Axes, low: float, high: float, theme: Theme) -> None:
    """The line of equal values, and equal limits on both axes."""
    axes.plot([low, high], [low, high], color=theme.muted, linewidth=1, zorder=3)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
