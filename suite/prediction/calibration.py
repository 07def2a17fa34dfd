"""The uncertainty of a prediction, from the spread of the seeds and the errors on validation.

The seeds of an ensemble share data, model and recipe, so their spread s(x) says where the fit is loose and
nothing of what they all get wrong. It is therefore only the shape of the uncertainty,

    u(x) = sqrt(s(x)² + f²),

with a floor f below which no agreement of the seeds is believed, and its size comes from the errors
e = |y - mean of the seeds| on the validation crystals: half-width = q u(x), where q is the split-conformal
quantile of e/u (J. Lei et al., J. Am. Stat. Assoc. 113 (2018) 1094, with u as the scale), the
⌈(n + 1) c⌉-th smallest of n. For crystals drawn as the validation crystals were, the true value lies within
the half-width in a share c of the cases, whatever the distribution of errors.

Two things it does not know: validation crystals chose the hyper-parameters, which makes their errors a little
too small, and a crystal unlike all of them is not covered by the promise.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

COVERAGE = 0.683  # c: as one standard deviation of a normal distribution
FLOORS = (0.0, *np.geomspace(0.1, 100, 31))  # tried for f, in units of the root mean square of s


@dataclass(frozen=True)
class Calibration:
    """Attributes:
    floor: f, in the target's unit.
    factor: q.
    crystals: how many validation crystals it was fitted to.
    """

    floor: float
    factor: float
    crystals: int

    @classmethod
    def fit(cls, errors: np.ndarray, spreads: np.ndarray) -> Self:
        """From absolute errors of the mean and spreads, both (crystals,), of validation crystals.

        The floor is the one under which the errors are most likely, as Laplace distributions of scale b u(x).

        Raises:
            ValueError: no crystals.
        """
        if not len(errors):
            raise ValueError("calibration: expected at least one validation prediction, got none")
        typical = float(np.sqrt(np.mean(spreads**2)))
        if not typical:  # one seed
            return cls(1.0, _conformal(errors), len(errors))
        floors = [ratio * typical for ratio in FLOORS]
        floor = min(floors, key=lambda f: _minus_log_likelihood(errors, _shape(spreads, f)))
        return cls(floor, _conformal(errors / _shape(spreads, floor)), len(errors))

    def uncertainty(self, spreads: np.ndarray) -> np.ndarray:
        """Half-widths, in the target's unit and the shape of `spreads`."""
        return self.factor * _shape(spreads, self.floor)


def _shape(spreads: np.ndarray, floor: float) -> np.ndarray:
    return np.sqrt(np.square(spreads) + floor**2)


def _minus_log_likelihood(errors: np.ndarray, shape: np.ndarray) -> float:
    if not shape.all():
        return math.inf
    scale = float(np.mean(errors / shape))
    return math.log(scale) + float(np.mean(np.log(shape))) if scale else -math.inf


def _conformal(ratios: np.ndarray) -> float:
    """The quantile of COVERAGE with the correction for a finite sample; the largest where n is too small."""
    rank = min(math.ceil((len(ratios) + 1) * COVERAGE), len(ratios))
    return float(np.sort(ratios)[rank - 1])
