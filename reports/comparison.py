"""Is the best of several models better than the others, or only luckier with these crystals?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import ttest_rel

ALPHA = 0.05


@dataclass(frozen=True)
class Rival:
    """One model beside the best: `difference` = its MAE minus the best's (same unit), `p` Holm-corrected."""

    candidate: str
    difference: float
    p: float


@dataclass(frozen=True)
class Comparison:
    """The model with the lowest MAE against each other one, nearest first, over the same `crystals`."""

    best: str
    rivals: tuple[Rival, ...]
    crystals: int

    @property
    def supported(self) -> bool:
        """Whether the best model differs from every other one at level `ALPHA`."""
        return all(rival.p < ALPHA for rival in self.rivals)


def compare(errors: pd.DataFrame) -> Comparison | None:
    """Paired t-tests of the best model against each other one, two-sided, Holm-corrected (Holm, Scand. J.
    Stat. 6, 65, 1979).

    `errors`: one row per crystal, one column per candidate, absolute errors averaged over the seeds; NaN
    where a candidate has no prediction. The t-test is used because what the table compares is a mean of
    these errors. None where there is nothing to test: fewer than two candidates or crystals, or candidates
    that were not evaluated on the same crystals.
    """
    if errors.shape[1] < 2 or len(errors) < 2 or errors.isna().to_numpy().any():
        return None
    best = str(errors.mean().idxmin())
    others = [str(name) for name in errors.columns if name != best]
    differences = {name: (errors[name] - errors[best]).to_numpy() for name in others}
    corrected = holm([_paired_p(differences[name]) for name in others])
    rivals = [
        Rival(name, float(differences[name].mean()), p) for name, p in zip(others, corrected, strict=True)
    ]
    return Comparison(best, tuple(sorted(rivals, key=lambda rival: rival.difference)), len(errors))


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction: the i-th smallest of m values is multiplied by m - i, kept monotone
    and at most 1.
    """
    corrected = [0.0] * len(p_values)
    running = 0.0
    for i, index in enumerate(np.argsort(p_values, kind="stable")):
        running = max(running, min(1.0, (len(p_values) - i) * p_values[index]))
        corrected[index] = running
    return corrected


def _paired_p(differences: np.ndarray) -> float:
    if np.ptp(differences) == 0:  # the t statistic is 0/0 or infinite
        return 1.0 if differences[0] == 0 else 0.0
    return float(ttest_rel(differences, np.zeros_like(differences)).pvalue)
