"""`median`: the median stopping rule of Vizier (Golovin et al., KDD 2017), by the recorded curves alone."""

import statistics
from collections.abc import Sequence

from suite.trial_record import Curve

MIN_TRIALS = 3  # others that must have come this far


def median_stop(best: float, others: Sequence[Curve], epoch: int) -> str | None:
    """Why a trial is to be stopped after this epoch; None if it is not.

    It is stopped where its best error up to this epoch is above the median of what the other trials of its
    model had on average up to the same epoch.
    """
    averages = [mean for curve in others if (mean := curve.mean(epoch)) is not None]
    if len(averages) < MIN_TRIALS:
        return None
    middle = statistics.median(averages)
    if best <= middle:
        return None
    return (
        f"median rule: {best:.4g} up to epoch {epoch} is above {middle:.4g}, "
        f"the median of {len(averages)} other trials of its model"
    )
