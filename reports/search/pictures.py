"""The figures on the trials of one target, drawn and described."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from reports.picture import Picture, draw, slug
from reports.render import in_unit
from reports.search import curves_plot, history, importance_plot, parallel, pareto
from reports.search.curves import MOST_CURVES
from reports.search.searched import Branch


@dataclass(frozen=True)
class Place:
    """Where the figures go and what they are called: `target` and, of several searches, which one."""

    figures: Path
    experiment: str
    target: str
    named: str  # what titles say of target and search

    def path(self, kind: str, *more: str) -> Path:
        """The file of a figure, without its suffix."""
        return self.figures / f"{kind}-{slug('-'.join([self.experiment, self.target, *more]))}"


def history_picture(found: Sequence[Branch], place: Place) -> Picture:
    """Every trial by its number."""
    error = in_unit("MAE", found[0].unit)
    return draw(
        place.path("search-history"),
        f"All trials: {place.named}",
        f"Validation {error} of each trial, stopped ones with that of their last epoch. The line is the "
        "lowest of each model so far. Crosses at the upper edge failed before they had an error.",
        history.history_alt(found),
        partial(history.history, found),
    )


def progress_picture(found: Sequence[Branch], place: Place) -> Picture:
    """The best so far over time."""
    return draw(
        place.path("best-so-far"),
        f"Best so far over time: {place.named}",
        f"Lowest validation {in_unit('MAE', found[0].unit)} of a complete trial, against the training time "
        "that the model's trials had taken by then, stopped and failed ones included.",
        history.progress_alt(found),
        partial(history.progress, found),
    )


def curves_picture(
    found: Sequence[Branch], curves: dict[str, np.ndarray], rungs: Sequence[int], place: Place
) -> Picture:
    """The learning curves of the trials."""
    sampled = any(len(branch.trials) > MOST_CURVES for branch in found)
    caption = (
        "In colour: complete trials; grey, with a dot where they ended: stopped and failed ones."
        + (" Dashed lines: epochs after which trials were compared and the worse stopped." if rungs else "")
        + (f" Of each model {MOST_CURVES} are drawn, among them its best." if sampled else "")
    )
    return draw(
        place.path("trial-curves"),
        f"Learning curves of the trials: {place.named}",
        caption,
        curves_plot.curves_alt(found, curves, rungs),
        partial(curves_plot.curves_plot, found, curves, rungs),
    )


def parallel_picture(branch: Branch, place: Place) -> Picture:
    """The trials of one model in parallel coordinates."""
    return draw(
        place.path("parallel", branch.model),
        f"{branch.label}: hyper-parameters and error, {place.named}",
        parallel.parallel_caption(branch),
        parallel.parallel_alt(branch),
        partial(parallel.parallel, branch),
    )


def importance_picture(found: Sequence[Branch], judged: importance_plot.Found, place: Place) -> Picture:
    """The importances of all models."""
    return draw(
        place.path("importances"),
        f"Importances of the hyper-parameters: {place.named}",
        importance_plot.CAPTION,
        importance_plot.importance_alt(found, judged),
        partial(importance_plot.importance_plot, found, judged),
    )


def pareto_picture(found: Sequence[Branch], place: Place) -> Picture:
    """Error against cost."""
    return draw(
        place.path("pareto"),
        f"Error against cost: {place.named}",
        "Complete trials. The line is the Pareto front: no trial has both a lower error and a lower cost "
        "than one of the ringed ones. Times are those of the search, whose trials may have shared the "
        "machine.",
        pareto.pareto_alt(found),
        partial(pareto.pareto_plot, found),
    )
