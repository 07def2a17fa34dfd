"""`TrialRecord`: what is known of a trial while it runs and afterwards."""

import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from suite.assignment import Assignment

IMPORTED_FROM = "imported_from"  # in a result: the study in which the trial ran, if not this one
State = Literal["running", "complete", "stopped", "failed"]


class Curve:
    """Validation error by epoch, 8 bytes each; an epoch without a finite value is left out."""

    def __init__(self, values: Iterable[float | None] = ()) -> None:
        self._values = array("d", (math.nan if value is None else value for value in values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curve) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # it changes

    def note(self, epoch: int, value: float) -> None:
        """Set the value of an epoch, counted from 1; a repeated one replaces the earlier value."""
        self._values.extend([math.nan] * (epoch - len(self._values)))
        self._values[epoch - 1] = value

    def cut(self, epochs: int) -> None:
        """Forget what lies beyond so many epochs."""
        del self._values[epochs:]

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """(epoch, value) of every finite value, in order."""
        return ((epoch, value) for epoch, value in enumerate(self._values, 1) if math.isfinite(value))

    @property
    def last(self) -> tuple[int, float] | None:
        """The last finite value and its epoch; None without any."""
        for epoch in range(len(self._values), 0, -1):
            if math.isfinite(value := self._values[epoch - 1]):
                return epoch, value
        return None

    def until(self, epoch: int) -> list[float]:
        """The finite values up to and with an epoch."""
        return [value for value in self._values[:epoch] if math.isfinite(value)]

    def mean(self, epoch: int) -> float | None:
        """The mean of the values up to and with an epoch; None where the curve does not go so far."""
        last = self.last
        return fmean(self.until(epoch)) if last and last[0] >= epoch else None

    def as_json(self) -> list[float | None]:
        """The values by epoch, None for those left out."""
        return [value if math.isfinite(value) else None for value in self._values]


@dataclass
class TrialRecord:
    """A trial as the study has it.

    Attributes:
        assignment: what it was asked to run.
        key: by which the study's storage knows it.
        attributes: what its sampler wants to know of it later on.
        state: how it stands.
        result: what is known of it at its end, see `TrialLedger.finish`.
        curve: its validation errors.
        gpus: GPUs, or the part of one, that it has.
        pauses: of the member of a population, its validation errors at the epochs at which it has paused.
    """

    assignment: Assignment
    key: int
    attributes: dict[str, int]
    state: State = "running"
    result: dict = field(default_factory=dict)
    curve: Curve = field(default_factory=Curve)
    gpus: float = 0.0
    pauses: dict[int, float] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """Epochs that are known of."""
        last = self.curve.last
        return int(self.result.get("epochs", last[0] if last else 0))

    @property
    def value(self) -> float:
        """The validation error that it stands for, NaN where it has none."""
        last = self.curve.last
        return math.nan if self.state == "failed" or last is None else last[1]
