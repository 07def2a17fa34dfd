"""How far an error would move with other crystals: bootstrap intervals of a mean absolute error."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0
MOST_COUNTS = 4_000_000  # numbers in memory at once, 32 MB


def intervals(errors: pd.DataFrame) -> pd.DataFrame:
    """Percentile bootstrap over crystals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).

    With N crystals, each resample draws N of them with replacement; the interval holds the middle 95 % of
    the means over 2,000 resamples. All candidates see the same resamples, so that their intervals differ by
    their errors alone. The same errors give the same interval: the draws are seeded.

    Args:
        errors: one row per crystal, one column per candidate, absolute errors averaged over the seeds; NaN
            where a candidate has no prediction. A resample then has the mean over what it has of the others.

    Returns:
        One row per candidate: `low`, `high`, in the unit of the errors. NaN without any error.
    """
    values = errors.to_numpy(np.float64)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    means = np.full((RESAMPLES, values.shape[1]), np.nan)
    for start, counts in _resamples(len(values)):
        drawn = counts @ known
        np.divide(counts @ filled, drawn, out=means[start : start + len(counts)], where=drawn > 0)
    tail = (1 - LEVEL) / 2
    bounds = np.full((2, values.shape[1]), np.nan)
    some = known.any(axis=0)
    bounds[:, some] = np.nanquantile(means[:, some], [tail, 1 - tail], axis=0)
    return pd.DataFrame(bounds.T, index=errors.columns, columns=["low", "high"])


def _resamples(crystals: int) -> Iterator[tuple[int, np.ndarray]]:
    """How often each resample has each crystal, (resamples, crystals); in blocks, with their first index."""
    generator = np.random.default_rng(SEED)
    block = max(1, MOST_COUNTS // max(1, crystals))
    for start in range(0, RESAMPLES, block):
        rows = min(block, RESAMPLES - start)
        drawn = generator.integers(crystals, size=(rows, crystals))
        places = drawn + crystals * np.arange(rows)[:, None]
        counts = np.bincount(places.ravel(), minlength=rows * crystals).reshape(rows, crystals)
        yield start, counts.astype(np.float64)
