"""Parallel coordinates: each trial of a model as a line through its hyper-parameters to its error."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from reports.plots import WIDTH
from reports.render import in_unit
from reports.rounding import significant
from reports.search.curves import sampled
from reports.search.searched import Branch
from reports.theme import Theme
from suite.space.domains import Choice, Domain
from suite.space.scalars import Scalar

MOST_LINES = 200  # of a model
BEST = 0.1  # share of the trials that is drawn in colour
ABSENT = -0.12  # where a line passes the axis of a parameter that its trial has not
LONGEST_NAME = 16  # characters of a name from which on it is set on two lines


def drawable(branch: Branch) -> bool:
    """Whether there are two trials with an error and something that was searched."""
    return bool(branch.domains) and branch.trials["val_mae"].notna().sum() > 1


def parallel(branch: Branch, theme: Theme) -> Figure:
    """The trials of one model; those with the lowest errors in colour, the best one thick."""
    shown = _shown(branch)
    figure = Figure(figsize=(WIDTH, 3.0))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.05, 0.13, 0.9, 0.66))
    names, errors = list(branch.domains), shown["val_mae"].to_numpy(np.float64)
    heights = np.array(
        [
            [place(branch.domains[name], values[name]) if name in values else ABSENT for name in names]
            for values in branch.values(shown)
        ]
    )
    low, high = _error_range(branch)
    heights = np.column_stack(
        [heights, (np.log(np.clip(errors, low, high)) - math.log(low)) / math.log(high / low)]
    )
    lines = [np.column_stack([np.arange(len(names) + 1), each]) for each in heights]
    best = errors <= _threshold(branch)
    first = int(np.argmin(np.where((shown["state"] == "complete").to_numpy(), errors, np.inf)))
    colour = theme.colour(branch.model)
    styles: tuple[tuple[np.ndarray, dict[str, Any]], ...] = (
        (~best, {"colors": theme.muted, "linewidths": 0.5, "alpha": 0.3}),
        (best, {"colors": colour, "linewidths": 1.0, "alpha": 0.75}),
    )
    for chosen, style in styles:
        axes.add_collection(LineCollection([lines[i] for i in np.flatnonzero(chosen)], **style))
    axes.add_collection(LineCollection([lines[first]], colors=colour, linewidths=2.8, zorder=5))
    _axes(axes, branch, (low, high), theme)
    return figure


def _shown(branch: Branch) -> pd.DataFrame:
    """Trials with an error; where there are many, a sample with the best of them, these last."""
    return sampled(branch, MOST_LINES).dropna(subset=["val_mae"]).sort_values("val_mae", ascending=False)


def _threshold(branch: Branch) -> float:
    """The error that the best tenth of the trials reach."""
    return float(np.quantile(branch.trials["val_mae"].dropna(), BEST, method="inverted_cdf"))


def _error_range(branch: Branch) -> tuple[float, float]:
    """The ends of the axis of the errors; the worst tenth meets at its upper end."""
    errors = branch.trials["val_mae"].dropna()
    low, high = float(errors.min()), float(np.quantile(errors, 0.9))
    return low, max(high, 1.01 * low)


def place(domain: Domain, value: Scalar) -> float:
    """Where a value stands on its axis, from 0 to 1."""
    if isinstance(domain, Choice):
        return domain.values.index(value) / max(1, len(domain.values) - 1)
    low, high, at = float(domain.low), float(domain.high), float(value)  # type: ignore[arg-type]
    if domain.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low) if high > low else 0.5


def _axes(axes: Axes, branch: Branch, errors: tuple[float, float], theme: Theme) -> None:
    """The upright axes with the ends or the choices of their domains, the last one that of the errors."""
    axes.set_axis_off()
    axes.set_xlim(-0.05, len(branch.domains) + 0.05)
    axes.set_ylim(ABSENT - 0.02, 1.02)
    labels = [(name, _marks(domain)) for name, domain in branch.domains.items()]
    labels.append(
        (
            in_unit("val MAE", branch.unit),
            [(0.0, significant(errors[0])), (1.0, f"≥ {significant(errors[1])}")],
        )
    )
    for at, (name, marks) in enumerate(labels):
        axes.plot([at, at], [0, 1], color=theme.ink, linewidth=0.9, zorder=3)
        axes.text(at, 1.16, _broken(name), ha="center", va="bottom", fontsize=8.5, color=theme.ink)
        for height, text in marks:
            _mark(axes, at, height, text, theme)


def _mark(axes: Axes, at: int, height: float, text: str, theme: Theme) -> None:
    """A value beside its axis: below its lower end, above its upper one, at its right between them."""
    end = height in (0.0, 1.0)
    axes.annotate(
        text,
        (at, height),
        xytext=(0, 5 if height else -5) if end else (5, 0),
        textcoords="offset points",
        ha="center" if end else "left",
        va=("bottom" if height else "top") if end else "center",
        fontsize=7.5,
        color=theme.muted,
        bbox={"facecolor": theme.paper, "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
        zorder=6,
    )


def _marks(domain: Domain) -> list[tuple[float, str]]:
    if isinstance(domain, Choice):
        return [(place(domain, value), "none" if value is None else str(value)) for value in domain.values]
    return [(0.0, f"{domain.low:g}"), (1.0, f"{domain.high:g}")]


def _broken(name: str) -> str:
    """A long name on two lines, broken at the underscore that is nearest to its middle."""
    cuts = [index for index, letter in enumerate(name) if letter in "_ "]
    if len(name) < LONGEST_NAME or not cuts:
        return name
    cut = min(cuts, key=lambda index: abs(index - len(name) / 2))
    return f"{name[: cut + 1].rstrip()}\n{name[cut + 1 :]}"


def parallel_caption(branch: Branch) -> str:
    """How to read it, and how many of the trials are drawn."""
    drawn, total = len(_shown(branch)), int(branch.trials["val_mae"].notna().sum())
    sentences = ["Each line is a trial, in colour the best tenth, thick the best that is complete."]
    if (branch.trials["state"] == "stopped").any():
        sentences.append("Stopped trials have the error of their last epoch.")
    if branch.conditions:
        sentences.append("A line that passes below an axis: the trial has no such parameter.")
    if drawn < total:
        sentences.append(f"{drawn:,} of {total:,} trials are drawn, among them the best.")
    return " ".join(sentences)


def parallel_alt(branch: Branch) -> str:
    """The ranges of the best trials beside all that were searched."""
    best = branch.trials[branch.trials["val_mae"] <= _threshold(branch)]
    found = list(branch.values(best))
    parts = [
        f"{name} {_extent(domain, found, name)} (searched: {domain})"
        for name, domain in branch.domains.items()
    ]
    return (
        f"Parallel coordinates of {len(branch.trials):,} trials of {branch.label}. Those with a validation "
        f"MAE of at most {significant(_threshold(branch))} have: {'; '.join(parts)}."
    )


def _extent(domain: Domain, found: Sequence[Mapping[str, Scalar]], name: str) -> str:
    values = [values[name] for values in found if name in values]
    if not values:
        return "in none"
    if isinstance(domain, Choice):
        return ", ".join(str(value) for value in domain.values if value in values)
    low, high = min(values), max(values)  # type: ignore[type-var]
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
