"""`median`: the median stopping rule of Vizier (Golovin et al., KDD 2017), by the recorded curves alone."""

import statistics
from collections.abc import Mapping, Sequence

MIN_TRIALS = 3  # others that must have come this far


def median_stop(curve: Mapping[int, float], others: Sequence[Mapping[int, float]], epoch: int) -> str | None:
    """Why a trial is to be stopped after this epoch; None if it is not.

    It is stopped where its best error up to this epoch is above the median of what the other trials of its
    model had on average up to the same epoch. Curves map epochs to errors.
    """
    averages = [
        statistics.fmean(value for at, value in other.items() if at <= epoch)
        for other in others
        if max(other, default=0) >= epoch
    ]
    if len(averages) < MIN_TRIALS:
        return None
    best, middle = min(value for at, value in curve.items() if at <= epoch), statistics.median(averages)
    if best <= middle:
        return None
    return (
        f"median rule: {best:.4g} up to epoch {epoch} is above {middle:.4g}, "
        f"the median of {len(averages)} other trials of its model"
    )
