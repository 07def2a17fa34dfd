"""The error against each factor: a panel per factor, on a numeric axis where its values are numbers."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from reports.ablation.effects import WEIGHTS, Effect, errors_by_value
from reports.ablation.study import Scalar
from reports.ablation.terms import in_words, is_number, plain, term, unit_of
from reports.ablation.words import Finding
from reports.plots import WIDTH
from reports.render import in_unit
from reports.rounding import significant
from reports.theme import Theme

COLUMNS = 3
WIDE_RANGE = 20  # from this ratio of the largest to the smallest value on, the axis is logarithmic


def errors_by_factor(finding: Finding, theme: Theme) -> Figure:
    """A panel per factor; `caption` says what its marks are."""
    factors = _factors(finding)
    columns = min(COLUMNS, len(factors))
    lines = -(-len(factors) // columns)
    figure = Figure(figsize=(WIDTH, 0.5 + 2.35 * lines))
    panels = np.atleast_1d(figure.subplots(lines, columns, sharey=True, squeeze=False)).ravel()
    for axes, factor in zip(panels, factors, strict=False):
        _panel(axes, finding, factor, theme)
    for axes in panels[len(factors) :]:
        axes.set_visible(False)
    panels[0].set_ylim(_limits(finding, factors))
    for axes in panels[::columns]:
        axes.set_ylabel(in_unit("validation MAE", finding.study.unit))
    return figure


def errors_by_factor_alt(finding: Finding) -> str:
    """The means of every panel in words."""
    parts = []
    for factor in _factors(finding):
        means = errors_by_value(finding.study, factor).mean()
        values = [
            f"{in_words(factor, value)} {significant(means[position])}{'' if position else ' (reference)'}"
            for position, value in enumerate(_values(finding, factor))
            if position in means.index
        ]
        parts.append(f"{term(factor)}: {', '.join(values)}")
    study = finding.study
    quantity = in_unit(f"mean validation MAE of {study.target}", study.unit)
    return f"Error of {study.label} against each factor, {quantity}. {'; '.join(parts)}."


def _limits(finding: Finding, factors: list[str]) -> tuple[float, float]:
    """The range of the errors and something around it; an interval of two seeds may be far wider."""
    tables = [errors_by_value(finding.study, factor) for factor in factors]
    low = min(float(table.min(axis=None)) for table in tables if table.size)
    high = max(float(table.max(axis=None)) for table in tables if table.size)
    margin = 0.12 * (high - low) or 0.05 * high
    return low - margin, high + margin


def drawable(finding: Finding) -> bool:
    """Whether there is an error to draw."""
    return bool(_factors(finding)) and len(finding.study.complete) > 0


def _factors(finding: Finding) -> list[str]:
    return list(dict.fromkeys(effect.factor for effect in finding.effects))


def _values(finding: Finding, factor: str) -> list[Scalar]:
    """The reference's value and then the others."""
    mine = [effect for effect in finding.effects if effect.factor == factor]
    return [mine[0].reference, *(effect.value for effect in mine)]


def _panel(axes: Axes, finding: Finding, factor: str, theme: Theme) -> None:
    """Circles stand at the reference's mean plus the paired difference: where seeds are missing, a mean of
    those that are left would show their luck.
    """
    errors = errors_by_value(finding.study, factor)
    values, colour = _values(finding, factor), theme.colour(finding.study.model)
    numeric = factor != WEIGHTS and all(is_number(value) for value in values)
    places = _places(values, numeric)
    for position in errors.columns:
        seeds = errors[position].dropna()
        at = [places[position]] * len(seeds)
        axes.plot(at, seeds, ".", color=colour, alpha=0.5, markersize=5, zorder=2)
    if 0 in errors:
        reference = float(errors[0].mean())
        mine = [effect for effect in finding.effects if effect.factor == factor and effect.n]
        means = [(places[effect.position], reference + effect.mean) for effect in mine]
        if numeric:
            line = sorted([(places[0], reference), *means])
            axes.plot(*zip(*line, strict=True), "-", color=colour, alpha=0.4, zorder=1)
        axes.axhline(reference, color=theme.muted, linewidth=1, linestyle="--", zorder=1)
        axes.plot(places[0], reference, "D", color=colour, markersize=7, zorder=4)
        for effect, (place, mean) in zip(mine, means, strict=True):
            face = colour if effect.moved else theme.paper
            style: dict[str, Any] = {
                "color": colour,
                "markerfacecolor": face,
                "markersize": 7,
                "markeredgewidth": 1.6,
            }
            axes.plot(place, mean, "o", zorder=4, **style)
            if effect.tested:
                ends = (reference + effect.low, reference + effect.high)
                axes.vlines(place, *ends, color=colour, linewidth=1.4, zorder=3)
    _axis(axes, factor, values, places, numeric)


def _places(values: list[Scalar], numeric: bool) -> list[float]:
    """Where the values stand on the axis."""
    return [float(value) if numeric else float(i) for i, value in enumerate(values)]  # type: ignore[arg-type]


def _axis(axes: Axes, factor: str, values: list[Scalar], places: list[float], numeric: bool) -> None:
    axes.set_title(term(factor))
    if numeric and (unit := unit_of(factor)):
        axes.set_xlabel(unit)
    axes.grid(axis="x", visible=False)
    if numeric and min(places) > 0 and max(places) >= WIDE_RANGE * min(places):
        axes.set_xscale("log")
    elif not numeric:
        axes.set_xlim(-0.5, len(places) - 0.5)
    else:
        axes.margins(x=0.15)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(places, [plain(value) for value in values])
    crowded = not numeric and sum(len(plain(value)) for value in values) > 24
    axes.tick_params(axis="x", rotation=25 if crowded else 0)


def caption(finding: Finding) -> str:
    """How to read the figure."""
    effects: tuple[Effect, ...] = finding.effects
    averaged = ", each over all combinations of the other factors" if finding.study.factorial else ""
    filled = " Filled circles: the change moved the error." if any(each.moved for each in effects) else ""
    return (
        f"Validation MAE: small dots are single seeds{averaged}. The diamond and the dashed line are the "
        "reference's mean; circles are that mean plus the paired difference, bars its 95\N{NO-BREAK SPACE}% "
        f"interval, cut off at the edge.{filled} Lower is better."
    )
