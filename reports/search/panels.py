"""Panels in rows and columns with margins in inches: measuring every label, as Matplotlib's layout engine
does, takes longer than drawing a dozen panels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.plots import WIDTH


def panels(
    number: int,
    columns: int,
    heights: Sequence[float],
    left: float,
    between: tuple[float, float] = (0.15, 0.42),
    **subplots: Any,
) -> tuple[Figure, list[Axes]]:
    """A figure of `number` panels, row by row, with room for titles above and labels below.

    Args:
        number, columns: panels, and how many side by side.
        heights: of the panels of each row, in inches.
        left: margin for the labels of the first column, in inches.
        between: room between columns and rows, in inches.
        subplots: for `Figure.subplots`, such as sharex.
    """
    top, bottom, right = 0.3, 0.5, 0.1
    height = top + bottom + sum(heights) + between[1] * (len(heights) - 1)
    figure = Figure(figsize=(WIDTH, height))
    figure.set_layout_engine("none")
    width = (WIDTH - left - right - between[0] * (columns - 1)) / columns
    grid = {
        "left": left / WIDTH,
        "right": 1 - right / WIDTH,
        "bottom": bottom / height,
        "top": 1 - top / height,
        "wspace": between[0] / width,
        "hspace": between[1] / (sum(heights) / len(heights)),
        "height_ratios": list(heights),
    }
    made = figure.subplots(len(heights), columns, squeeze=False, gridspec_kw=grid, **subplots)
    everything = list(np.ravel(made))
    for axes in everything[number:]:
        axes.set_visible(False)
    for axes in everything[max(0, number - columns) : number]:
        axes.tick_params(labelbottom=True)  # also where the panel below is empty
    return figure, everything[:number]
