"""Predicted against calculated values, a panel per model, with their density."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.model_report.density import diagonal, draw_points, one_scale
from reports.model_report.per_crystal import TaskErrors
from reports.plots import WIDTH
from reports.render import in_unit
from reports.rounding import significant
from reports.theme import Theme

COLUMNS = 3
MARGIN = 0.03  # of the range, around the points


def parity(errors: TaskErrors, theme: Theme) -> Figure:
    """All models of a task, best first, on the same axes."""
    models = errors.models
    columns = min(COLUMNS, len(models))
    lines = -(-len(models) // columns)
    figure = Figure(figsize=(WIDTH, WIDTH / max(columns, 2) * (lines + 0.3)), layout="compressed")
    panels = np.atleast_1d(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)).ravel()
    low, high = _limits(errors)
    drawn = []
    for axes, model in zip(panels, models, strict=False):
        values = model.table
        extent = (low, high, low, high)
        drawn.append(draw_points(axes, values["y_true"], values["y_pred"], extent, theme.colour(model.model)))
        diagonal(axes, low, high, theme)
        axes.set_title(model.candidate)
        axes.text(
            0.04, 0.96, f"MAE {significant(model.mae)}", transform=axes.transAxes, va="top", fontsize=8.5
        )
    for axes in panels[len(models) :]:
        axes.set_visible(False)
    figure.supxlabel(in_unit(f"{errors.task.target}, calculated by DFT", errors.unit), fontsize=9.5)
    for axes in panels[: len(models) : columns]:
        axes.set_ylabel(in_unit("predicted", errors.unit))
    for axes in panels[max(0, len(models) - columns) : len(models)]:
        axes.tick_params(labelbottom=True)  # also where the panel below is empty
    one_scale(figure, list(panels[: len(models)]), drawn)
    return figure


def _limits(errors: TaskErrors) -> tuple[float, float]:
    values = pd.concat([each.table[name] for each in errors.models for name in ("y_true", "y_pred")])
    low, high = float(values.min()), float(values.max())
    margin = MARGIN * (high - low) or 0.5
    return low - margin, high + margin


def parity_alt(errors: TaskErrors) -> str:
    """Crystals and errors of all panels in words."""
    shown = "; ".join(
        f"{each.candidate}: {len(each.table):,} crystals, MAE {significant(each.mae)}"
        for each in errors.models
    )
    what = f"Parity plot of {errors.task.target}: predicted against calculated values, one panel per model"
    return f"{what}. {shown}."
