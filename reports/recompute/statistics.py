"""Intervals and tests of a report once more, by SciPy and in the plainest way."""

import numpy as np
from scipy.stats import t, ttest_1samp

from reports.intervals import LEVEL, RESAMPLES, SEED


def student(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of (n,) values and the ends of its interval of Student's t; NaN ends for one value."""
    if len(values) < 2:
        return float(np.mean(values)), float("nan"), float("nan")
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    mean = float(np.mean(values))
    if error == 0:
        return mean, mean, mean
    low, high = t.interval(LEVEL, len(values) - 1, loc=mean, scale=error)
    return mean, float(low), float(high)


def p_of_zero(values: np.ndarray) -> float:
    """Two-sided p that the mean of (n,) values is 0; NaN for one value."""
    if len(values) < 2:
        return float("nan")
    if np.all(values == values[0]):
        return 1.0 if values[0] == 0 else 0.0
    return float(ttest_1samp(values, 0).pvalue)


def step_down(p_values: list[float]) -> list[float]:
    """Holm's correction of those that are numbers, by its definition; NaN stays."""
    tested = sorted((p, i) for i, p in enumerate(p_values) if p == p)
    corrected = list(p_values)
    for rank, (_, i) in enumerate(tested):
        corrected[i] = max(min(1.0, (len(tested) - k) * tested[k][0]) for k in range(rank + 1))
    return corrected


def bootstrap(errors: np.ndarray) -> tuple[float, float]:
    """Ends of the interval of the mean of (crystals,) errors, NaN where there is no prediction.

    The middle of the means over the same seeded draws as `reports.intervals`, one resample after the other.
    """
    generator = np.random.default_rng(SEED)
    means = []
    for _ in range(RESAMPLES):
        drawn = errors[generator.integers(len(errors), size=len(errors))]
        known = drawn[np.isfinite(drawn)]
        means.append(known.mean() if len(known) else np.nan)
    tail = 50 * (1 - LEVEL)
    low, high = np.nanpercentile(means, [tail, 100 - tail])
    return float(low), float(high)
