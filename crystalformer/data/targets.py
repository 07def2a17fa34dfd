"""`TargetScaler`: targets as the models see them, scaled by statistics of the training set."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Real


@dataclass(frozen=True)
class TargetScaler:
    """Per target the mean and the population standard deviation of the training values, in its unit.

    Scaled values are (y - mean) / std. One entry per target; a unit of None is unknown.

    Raises:
        ValueError: the lists have different lengths, or a value is impossible.
    """

    means: tuple[float, ...]
    stds: tuple[float, ...]
    units: tuple[str | None, ...]

    def __post_init__(self) -> None:
        if not self.means or not len(self.means) == len(self.stds) == len(self.units):
            raise ValueError(
                "scaler: expected one mean, std and unit per target, "
                f"got {len(self.means)}, {len(self.stds)} and {len(self.units)}"
            )
        for mean, std in zip(self.means, self.stds, strict=True):
            if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
                raise ValueError(f"scaler: expected a finite mean and a std above 0, got {mean} and {std}")

    @classmethod
    def fit(cls, values: Real[np.ndarray, "..."], units: str | Sequence[str | None] | None = None) -> Self:
        """Statistics of `values`, shape (crystals, targets): pass the training crystals only.

        `units` is one unit for all targets or one per target.

        Raises:
            ValueError: a value is NaN or infinite, or a target does not vary.
        """
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 2 or array.size == 0:
            raise ValueError(f"training targets: expected shape (crystals, targets), got {array.shape}")
        missing = np.count_nonzero(~np.isfinite(array), axis=0)
        if missing.any():
            raise ValueError(
                f"training targets: expected a finite value for each of {len(array)} crystals, "
                f"got NaN or infinity for {missing.max()} of them in target {missing.argmax()}"
            )
        means, stds = array.mean(axis=0), array.std(axis=0)
        constant = (array == array[0]).all(axis=0) | (stds == 0)
        if constant.any():
            row = int(constant.argmax())
            raise ValueError(
                f"training targets: expected values that differ, got {array[0, row]:g} for all "
                f"{len(array)} crystals in target {row}"
            )
        each = (units,) * array.shape[1] if units is None or isinstance(units, str) else tuple(units)
        return cls(means=tuple(means.tolist()), stds=tuple(stds.tolist()), units=each)

    @classmethod
    def identity(cls, units: tuple[str | None, ...]) -> Self:
        """Leaves targets as they are, one per unit."""
        return cls(means=(0.0,) * len(units), stds=(1.0,) * len(units), units=units)

    def scale(self, values: Real[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """(y - mean) / std for values of shape (..., targets); NaN stays NaN."""
        return (self._checked(values) - np.array(self.means)) / np.array(self.stds)

    def unscale(self, values: Real[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Scaled values of shape (..., targets) back in the targets' units."""
        return self._checked(values) * np.array(self.stds) + np.array(self.means)

    def to_dict(self) -> dict[str, Any]:
        """As plain lists, for JSON."""
        return {key: list(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ValueError: the keys are not those of `to_dict`.
        """
        if set(fields) != {"means", "stds", "units"}:
            raise ValueError(f"scaler: expected the keys means, stds, units, got {', '.join(sorted(fields))}")
        return cls(**{key: tuple(value) for key, value in fields.items()})

    def _checked(self, values: np.ndarray) -> np.ndarray:
        array = np.asarray(values, dtype=np.float64)
        if array.ndim == 0 or array.shape[-1] != len(self.means):
            raise ValueError(
                f"values: expected {len(self.means)} targets on the last axis, got shape {array.shape}"
            )
        return array
