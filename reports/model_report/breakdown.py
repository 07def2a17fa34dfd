"""The error in groups of crystals, all models in one panel per grouping."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.model_report.group_errors import GroupError
from reports.model_report.groups import ATOMS, SYSTEM, TARGET, Group, groups
from reports.model_report.per_crystal import TaskErrors
from reports.plots import STYLES, WIDTH
from reports.render import in_unit
from reports.rounding import significant
from reports.theme import Theme

PANELS = (TARGET, ATOMS, SYSTEM)


def breakdown(errors: TaskErrors, found: Sequence[GroupError], theme: Theme) -> Figure:
    """A panel for each of `PANELS` that has groups; the band is the best model's interval."""
    shown = [name for name in PANELS if any(each.group.grouping == name for each in found)]
    natural, many = groups(errors), len(errors.models) > 4
    figure = Figure(figsize=(WIDTH, 0.9 + 0.2 * (len(errors.models) // 4) + 2.3 * len(shown)))
    panels = np.atleast_1d(figure.subplots(len(shown), 1, squeeze=False)).ravel()
    for axes, name in zip(panels, shown, strict=True):
        mine = [each for each in found if each.group.grouping == name]
        _panel(axes, errors, mine, natural, theme)
        unit = errors.unit if name == TARGET else None
        axes.set_xlabel(in_unit(errors.task.target if name == TARGET else _axis_name(name), unit))
        axes.set_ylabel(in_unit("MAE", errors.unit))
    handles, labels = panels[0].get_legend_handles_labels()
    panels[0].legend(
        handles[::-1], labels[::-1], loc="lower right", bbox_to_anchor=(1, 1),
        ncols=4 if many else len(errors.models), borderaxespad=0.1, handlelength=2.6,
    )  # fmt: skip
    return figure


def _axis_name(grouping: str) -> str:
    return f"{grouping} in the cell" if grouping == ATOMS else grouping


def _panel(
    axes: Axes, errors: TaskErrors, found: Sequence[GroupError], natural: Sequence[Group], theme: Theme
) -> None:
    seen = {each.group for each in found}
    shown = [group for group in natural if group in seen]  # the best model may be without the first of them
    places = {group: place for place, group in enumerate(shown)}
    for index, model in reversed(list(enumerate(errors.models))):
        mine = [each for each in found if each.model is model]
        at = [places[each.group] for each in mine]
        style, colour = STYLES[index // 6 % len(STYLES)], theme.colour(model.model)
        axes.plot(
            at, [each.mae for each in mine], style, color=colour, marker="o", markersize=4,
            label=model.candidate, zorder=4 if index == 0 else 3, linewidth=2.2 if index == 0 else 1.3,
        )  # fmt: skip
        if index == 0:
            tested = [each for each in mine if np.isfinite(each.low)]
            axes.vlines(
                [places[each.group] for each in tested],
                [max(each.low, 0) for each in tested],
                [each.high for each in tested],
                color=colour, alpha=0.35, linewidth=5, zorder=2,
            )  # fmt: skip
    axes.set_xticks(range(len(shown)), [f"{group.name}\n({_size(group, found)})" for group in shown])
    axes.set_ylim(0, 1.15 * max(each.mae for each in found))  # an interval of few crystals may be far wider
    axes.grid(axis="x", visible=False)


def _size(group: Group, found: Sequence[GroupError]) -> str:
    """Crystals of the group that some model predicted."""
    return f"{max(each.crystals for each in found if each.group == group):,}"


def breakdown_alt(errors: TaskErrors, found: Sequence[GroupError]) -> str:
    """The best model's errors in words, with the number of crystals."""
    best = errors.models[0]
    parts = []
    for name in PANELS:
        mine = [each for each in found if each.model is best and each.group.grouping == name]
        if mine:
            values = ", ".join(
                f"{each.group.name} {significant(each.mae)} ({each.crystals:,})" for each in mine
            )
            parts.append(f"by {name}: {values}")
    quantity = in_unit(f"MAE of {errors.task.target}", errors.unit)
    shown = f"{best.candidate}, with the number of crystals: {'; '.join(parts)}"
    return f"{quantity} in groups of crystals. {shown}."
