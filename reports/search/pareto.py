"""Which trials no other beats in both error and cost: parameters, training time or prediction time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from reports.plots import WIDTH, plain_log_ticks
from reports.render import in_unit
from reports.rounding import count, significant
from reports.search.searched import Branch
from reports.search.trials import settings
from reports.sections import Grid
from reports.theme import Theme

MOST_ROWS = 40
WIDE = 30  # ratio of the largest to the smallest cost


@dataclass(frozen=True)
class Cost:
    """One kind of cost: a column of `costs`, what the axis and the table call it, and its unit."""

    column: str
    name: str
    unit: str | None


COSTS = (
    Cost("parameters", "parameters", None),
    Cost("train_s_per_epoch", "training time per epoch", "s"),
    Cost("predict_ms_per_crystal", "prediction time per crystal", "ms"),
)


def costs(branches: Sequence[Branch]) -> pd.DataFrame:
    """The complete trials with their costs; the error of a stopped one is that of an early epoch."""
    complete = pd.concat([branch.complete.assign(label=branch.label) for branch in branches])
    frame = complete.assign(
        train_s_per_epoch=complete["seconds"] / complete["epochs"].where(complete["epochs"] > 0)
    )
    return frame.reindex(
        columns=[*frame.columns, *(each.column for each in COSTS if each.column not in frame)]
    )


def front(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Which of the points (n,) are such that none has both a lower or equal cost and a lower or equal error,
    one of them lower. Points without a finite cost and error are not.
    """
    kept = np.zeros(len(cost), dtype=bool)
    usable = np.flatnonzero(np.isfinite(cost) & np.isfinite(error))
    lowest, at = np.inf, np.nan
    for index in usable[np.lexsort((error[usable], cost[usable]))]:
        if error[index] < lowest or (error[index] == lowest and cost[index] == at):
            kept[index], lowest, at = True, error[index], cost[index]
    return kept


def known_costs(frame: pd.DataFrame) -> list[Cost]:
    """The costs that some trial has."""
    return [each for each in COSTS if frame[each.column].notna().any()]


def fronts(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Column of a cost -> which rows are on its front."""
    errors = frame["val_mae"].to_numpy(np.float64)
    return {
        each.column: front(frame[each.column].to_numpy(np.float64, na_value=np.nan), errors)
        for each in known_costs(frame)
    }


def pareto_plot(branches: Sequence[Branch], theme: Theme) -> Figure:
    """A panel per cost: complete trials, and the front as a line."""
    frame = costs(branches)
    found, shown = fronts(frame), known_costs(frame)
    frame = frame[["model", "val_mae", *(cost.column for cost in shown)]]
    figure = Figure(figsize=(WIDTH, 3.3))
    panels = np.atleast_1d(figure.subplots(1, len(shown), sharey=True))
    for axes, cost in zip(panels, shown, strict=True):
        for branch in branches:
            mine = frame[frame["model"] == branch.model]
            size = 3 if len(frame) > 100 else 4.5
            axes.plot(
                mine[cost.column],
                mine["val_mae"],
                "o",
                color=theme.colour(branch.model),
                markersize=size,
                alpha=0.75,
                markeredgewidth=0,
                label=branch.label,
            )
        best = frame[found[cost.column]].sort_values(cost.column)
        axes.step(best[cost.column], best["val_mae"], where="post", color=theme.ink, linewidth=1.2, zorder=3)
        axes.plot(
            best[cost.column],
            best["val_mae"],
            "o",
            color="none",
            markeredgecolor=theme.ink,
            markersize=size + 3,
            zorder=4,
        )
        _axis(axes, cost, frame[cost.column])
    panels[0].set_yscale("log")
    plain_log_ticks(panels[0])
    panels[0].set_ylabel(in_unit("validation MAE", branches[0].unit))
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper right",
        ncols=6,
        handletextpad=0.2,
        columnspacing=1.0,
    )
    return figure


def _axis(axes: Axes, cost: Cost, values: pd.Series) -> None:
    axes.set_xlabel(in_unit(cost.name, cost.unit))
    known = values.dropna()
    if (known > 0).all() and known.max() > 5 * known.min():
        axes.set_xscale("log")
        if known.max() < WIDE * known.min():  # else powers of ten are labels enough
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def pareto_alt(branches: Sequence[Branch]) -> str:
    """The ends of every front in words."""
    frame, parts = costs(branches), []
    for cost, on_front in zip(known_costs(frame), fronts(frame).values(), strict=True):
        best = frame[on_front].sort_values(cost.column)
        ends = best.iloc[[0, -1]] if len(best) > 1 else best
        named = [
            f"{row['label']} {significant(row['val_mae'])} at "
            f"{significant(float(row[cost.column]))} {cost.unit or ''}".rstrip()
            for row in ends.to_dict("records")
        ]
        number = f"{len(best)} of {len(frame):,} trials on the front"
        parts.append(f"{cost.name}: {number}, {' to '.join(named)}")
    quantity = in_unit("validation MAE", branches[0].unit)
    return f"Complete trials, {quantity} against cost. {'; '.join(parts)}."


def pareto_table(branches: Sequence[Branch]) -> Grid:
    """The trials that are on a front, by error."""
    frame = costs(branches)
    found, shown = fronts(frame), known_costs(frame)
    on_any = np.any(list(found.values()), axis=0) if found else np.zeros(len(frame), dtype=bool)
    best = frame.assign(**{f"front {name}": on for name, on in found.items()})[on_any].sort_values("val_mae")
    names = [in_unit(cost.name.capitalize(), cost.unit) for cost in shown]
    header = (
        "Trial",
        "Model",
        in_unit("Val MAE", branches[0].unit),
        *names,
        "On the front of",
        "Hyper-parameters",
    )
    rows = [
        (
            row["trial_id"],
            row["label"],
            significant(row["val_mae"], 4),
            *(
                count(row[cost.column]) if cost.column == "parameters" else significant(row[cost.column])
                for cost in shown
            ),
            ", ".join(cost.name for cost in shown if row[f"front {cost.column}"]),
            settings(row),
        )
        for row in best.head(MOST_ROWS).to_dict("records")
    ]
    numeric = (False, False, True, *[True] * len(shown), False, False)
    more = f"; the {MOST_ROWS} with the lowest error of {len(best)}" if len(best) > MOST_ROWS else ""
    caption = f"Trials that no other beats in both error and cost{more}"
    return Grid(caption, header, numeric, tuple(rows), frozenset({"On the front of", "Hyper-parameters"}))
