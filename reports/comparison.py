"""Is the best of several models better than the others, or only luckier with these crystals?"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit  # scipy.stats takes longer to import than a report to compute

ALPHA = 0.05


@dataclass(frozen=True)
class Rival:
    """One model (or floor) beside the best model, over the `crystals` that both predicted.

    `difference`: its MAE there minus the best's, in the same unit; `p`: Holm-corrected among models.
    """

    candidate: str
    difference: float
    p: float
    crystals: int

    @property
    def worse(self) -> bool:
        """Whether the model is worse than the best at level `ALPHA`."""
        return self.difference > 0 and self.p < ALPHA


@dataclass(frozen=True)
class Comparison:
    """The model with the lowest MAE against each other one, nearest first.

    `crystals`: all that some model predicted; a pair may have fewer.
    """

    best: str
    rivals: tuple[Rival, ...]
    crystals: int

    @property
    def supported(self) -> bool:
        """Whether every other model is worse than the best at level `ALPHA`."""
        return all(rival.worse for rival in self.rivals)


def compare(errors: pd.DataFrame) -> Comparison | None:
    """Paired t-tests of the best model against each other one, two-sided, Holm-corrected (Holm, Scand. J.
    Stat. 6, 65, 1979).

    `errors`: one row per crystal, one column per candidate, absolute errors averaged over the seeds; NaN
    where a candidate has no prediction. Each pair is compared on the crystals that both predicted. The t-test
    is used because what the table compares is a mean of these errors. None where there is nothing to test:
    fewer than two candidates, or a pair with fewer than two crystals in common.
    """
    if errors.shape[1] < 2:
        return None
    best = str(errors.mean().idxmin())
    others = [str(name) for name in errors.columns if name != best]
    differences = {name: (errors[name] - errors[best]).dropna().to_numpy() for name in others}
    if any(len(values) < 2 for values in differences.values()):
        return None
    corrected = holm([paired_p(differences[name]) for name in others])
    rivals = [
        Rival(name, float(differences[name].mean()), p, len(differences[name]))
        for name, p in zip(others, corrected, strict=True)
    ]
    return Comparison(best, tuple(sorted(rivals, key=lambda rival: rival.difference)), len(errors))


def beside(models: pd.DataFrame, floors: pd.DataFrame) -> tuple[Rival, ...]:
    """The model with the lowest MAE beside each floor, nearest first: paired t-tests as in `compare`.

    Columns of both as `errors` of `compare`. Floors are marks that a model is to pass, no contestants: each
    is a question of its own, outside the models' family, so that p is not corrected. Empty without models; a
    floor that shares fewer than two crystals with the best is left out.
    """
    if models.empty:
        return ()
    best = models[models.mean().idxmin()]
    differences = {str(name): (floors[name] - best).dropna().to_numpy() for name in floors}
    found = [
        Rival(name, float(values.mean()), paired_p(values), len(values))
        for name, values in differences.items()
        if len(values) > 1
    ]
    return tuple(sorted(found, key=lambda rival: rival.difference))


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


def paired_p(differences: np.ndarray) -> float:
    """Two-sided p of the paired t-test of at least two differences (n,)."""
    if np.ptp(differences) == 0:  # the t statistic is 0/0 or infinite
        return 1.0 if differences[0] == 0 else 0.0
    n = len(differences)
    statistic = differences.mean() / (differences.std(ddof=1) / np.sqrt(n))
    return float(2 * stdtr(n - 1, -abs(statistic)))


def paired(differences: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, lower and upper end of its 95 % interval, and two-sided p of paired differences (n,).

    NaN where n is too small.
    """
    p = paired_p(differences) if len(differences) > 1 else float("nan")
    return *mean_interval(differences), p


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values (n,), and lower and upper end of its 95 % interval; NaN where n is too small.

    Student's t with n - 1 degrees of freedom: mean ± t s / sqrt(n).
    """
    n = len(values)
    mean = float(values.mean()) if n else float("nan")
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(_quantile_of_t(n - 1) * values.std(ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


@cache
def _quantile_of_t(degrees: int) -> float:
    """What 95 % of Student's t lie within, on either side of 0."""
    return float(stdtrit(degrees, 1 - ALPHA / 2))
