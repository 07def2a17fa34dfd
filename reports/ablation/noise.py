"""How much trainings differ by chance: one variance from all runs of a design, and the tests it allows."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit  # scipy.stats takes longer to import than a report to compute

from reports.comparison import ALPHA

ROUNDING = 1e-12  # in parts of the errors: below, runs differ by rounding alone


@dataclass(frozen=True, eq=False)
class Noise:
    """What is left of runs' values beside what they have in common with others.

    Attributes:
        left: of each run, with the index of the values; 0 where nothing but rounding is left.
        degrees: of freedom.
    """

    left: pd.Series
    degrees: int

    @property
    def variance(self) -> float:
        """Of one run, in the squared unit of the values; NaN without degrees of freedom."""
        return float(self.left @ self.left) / self.degrees if self.degrees else float("nan")

    def test(self, mean: float, runs: float) -> tuple[float, float, float]:
        """Ends of the 95 % interval of a difference whose variance is `runs` times that of one run, and the
        two-sided p that it is 0, by Student's t; NaN without degrees of freedom.
        """
        if not self.degrees:
            return float("nan"), float("nan"), float("nan")
        error = np.sqrt(self.variance * runs)
        if error == 0:
            return mean, mean, float(mean == 0)
        half = float(stdtrit(self.degrees, 1 - ALPHA / 2) * error)
        return mean - half, mean + half, float(2 * stdtr(self.degrees, -abs(mean) / error))


def noise(values: pd.Series, *common: list[str]) -> Noise:
    """The residual variance of (n,) values: each is a sum of what it has in common with those of the same
    levels of the index, for each list of levels in `common`, and of noise of one variance.

    Common to the configuration and to the seed, these are randomised blocks (Fisher, The Design of
    Experiments, 1935). Runs may be missing. With two configurations, a test of their difference is the paired
    t-test; each further one adds degrees of freedom.
    """
    if values.empty:
        return Noise(values, 0)
    keys = values.index.to_frame(index=False)
    columns = [pd.get_dummies(keys.groupby(levels).ngroup()).to_numpy(np.float64) for levels in common]
    design, observed = np.concatenate(columns, axis=1), values.to_numpy(np.float64)
    fitted, _, rank, _ = np.linalg.lstsq(design, observed)
    left = values - design @ fitted
    if np.abs(left).max() <= ROUNDING * np.abs(observed).max():
        left = 0 * left
    return Noise(left, len(observed) - int(rank))
