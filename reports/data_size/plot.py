"""Error over the number of training crystals, both axes logarithmic."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from reports.data_size.curve import SizeCurve
from reports.data_size.tables import change
from reports.plots import STYLES, WIDTH, plain_log_ticks
from reports.render import in_unit
from reports.rounding import significant
from reports.theme import Theme

CAPTION = (
    "Test MAE over the number of training crystals: mean over the seeds with its standard deviation. Both "
    "axes are logarithmic: a straight line is a power law. Lower is better. A floor that is far "
    "above all models stands in the table alone."
)
FAR = 2.5  # times the largest error of a model: such a floor would flatten all other lines


def errors_by_size(curve: SizeCurve, theme: Theme) -> Figure:
    """A line per model, hollow marks where it is trained less than in another; grey ones for the floors."""
    figure = Figure(figsize=(WIDTH, 4.4))
    axes = figure.add_subplot()
    drawn: set[str] = set()
    models = curve.points[curve.points["kind"] != "floor"]
    for index, label in enumerate(curve.labels):
        points = curve.of(label)
        model = str(points["model"].iloc[0])
        again = model in drawn
        drawn.add(model)
        floor = bool((points["kind"] == "floor").any())
        if floor and points["mae"].min() > FAR * models["mae"].max():
            continue
        colour = theme.muted if floor else theme.colour(model)
        line = (":", (0, (1, 3)))[index % 2] if floor else STYLES[(index // 6 + again) % len(STYLES)]
        axes.errorbar(
            points["train_crystals"],
            points["mae"],
            yerr=np.nan_to_num(points["sd"].to_numpy(np.float64)),
            linestyle=line,
            marker="" if floor else "o",
            elinewidth=0 if floor else None,
            markerfacecolor="none" if again else colour,
            markersize=4,
            color=colour,
            capsize=0 if floor else 2,
            label=label,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_log_ticks(axes)
    axes.xaxis.set_major_locator(FixedLocator(curve.sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(curve.sizes, [f"{size:,}" for size in curve.sizes])
    axes.set_xlabel("training crystals")
    axes.set_ylabel(in_unit(f"test MAE of {curve.target}", curve.unit))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.1, handlelength=2.6)
    return figure


def errors_by_size_alt(curve: SizeCurve) -> str:
    """The points in words."""
    lines = []
    for label in curve.labels:
        points = curve.of(label)
        errors = ", ".join(f"{significant(row.mae)} at {row.train_crystals:,}" for row in points.itertuples())
        slope = f" ({change(curve, label)} % per doubling)" if change(curve, label) else ""
        lines.append(f"{label}: {errors}{slope}")
    quantity = in_unit(f"Test MAE of {curve.target}", curve.unit)
    return f"{quantity} over the number of training crystals. {'; '.join(lines)}."
