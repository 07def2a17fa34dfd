"""What a parameter of a search space may be: a constant, an integer range, a float range, choices.

| YAML | domain |
|---|---|
| `0.5`, `adaptive`, `true`, `null` | `Constant` |
| `{int: [1, 4]}`, with `step: 2` or `log: true` | `Integer`: both ends belong to it |
| `{float: [1.0e-4, 2.0e-3], log: true}`, or with `step: 0.1` | `Float`: both ends belong to it |
| `{choices: [1, 2, adaptive]}` | `Choice`: an unordered set, though the first is the fallback |

A step counts from the low end; values above the last full step do not belong to the domain.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from suite.space.scalars import Scalar, is_number, is_whole, shown

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

MOST_STEPS = 10**9
MOST_PROBES = 1000


@dataclass(frozen=True)
class Constant:
    """A value that is not searched."""

    value: Scalar

    def __str__(self) -> str:
        return shown(self.value)


@dataclass(frozen=True)
class Integer:
    """The integers low, low + step, ... up to high; `log`: sampled uniformly in the logarithm.

    Raises:
        ValueError: an end is not a whole number, low > high, a step below 1, or `log` with a step or
            with low < 1.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        for end in (self.low, self.high):
            if not is_whole(end):
                raise ValueError(f"int: expected two whole numbers, got {end!r}")
        if not is_whole(self.step) or self.step < 1:
            raise ValueError(f"step: expected a whole number of at least 1, got {self.step!r}")
        _check_range("int", self.low, self.high, self.log, self.step != 1)

    @property
    def last(self) -> int:
        """The largest value."""
        return self.high - (self.high - self.low) % self.step

    def clip(self, value: Scalar) -> int:
        """The nearest value of the domain; `low` for what is no number."""
        if not is_number(value):
            return self.low
        steps = round((min(max(value, self.low), self.last) - self.low) / self.step)
        return self.low + steps * self.step

    def __contains__(self, value: object) -> bool:
        return is_whole(value) and self.low <= value <= self.last and (value - self.low) % self.step == 0

    def size(self) -> float:
        """Number of values."""
        return (self.last - self.low) // self.step + 1

    def ends(self) -> tuple[int, ...]:
        """The smallest and the largest value."""
        return (self.low, self.last)

    def probes(self) -> Sequence[int]:
        """The values that show whether a model accepts the domain: all, or the ends of a long one."""
        return range(self.low, self.last + 1, self.step) if self.size() <= MOST_PROBES else self.ends()

    def sample(self, rng: random.Random) -> int:
        """A value of the domain, for examples in a dry run; a search asks its sampler."""
        if self.log:
            return self.clip(_log_uniform(rng, self.low, self.high))
        return rng.randrange(self.low, self.last + 1, self.step)

    def distribution(self) -> "IntDistribution":
        """The same domain for Optuna."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.last, log=self.log, step=self.step)

    def plain(self) -> dict[str, Any]:
        """The domain as YAML would give it; options at their defaults are left out."""
        return _range_plain("int", self.low, self.high, self.step if self.step != 1 else None, self.log)

    def __str__(self) -> str:
        return _range_text(self.low, self.high, self.step if self.step != 1 else None, self.log)


@dataclass(frozen=True)
class Float:
    """The interval [low, high], or low, low + step, ... in it; `log`: uniform in the logarithm.

    Raises:
        ValueError: an end is not a finite number, low > high, a step not above 0, or `log` with a
            step or with low <= 0.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        for end in (self.low, self.high):
            if not is_number(end):
                raise ValueError(f"float: expected two numbers, got {end!r}")
        if self.step is not None and not (is_number(self.step) and self.step > 0):
            raise ValueError(f"step: expected a number above 0, got {self.step!r}")
        if self.step is not None and self.high - self.low > MOST_STEPS * self.step:
            raise ValueError(f"step: expected at most {MOST_STEPS} steps, got the step {self.step!r}")
        _check_range("float", self.low, self.high, self.log, self.step is not None)

    @property
    def steps(self) -> int:
        """Number of full steps between the ends; in decimal, so that 0.3 is three steps of 0.1."""
        return int((_decimal(self.high) - _decimal(self.low)) // _decimal(self.step)) if self.step else 0

    @property
    def last(self) -> float:
        """The largest value."""
        return self.high if self.step is None else self._at(self.steps)

    def _at(self, steps: int) -> float:
        assert self.step is not None
        return float(_decimal(self.low) + steps * _decimal(self.step))

    def clip(self, value: Scalar) -> float:
        """The nearest value of the domain; `low` for what is no number."""
        if not is_number(value):
            return self.low
        inside = min(max(float(value), self.low), self.last)
        return inside if self.step is None else self._at(round((inside - self.low) / self.step))

    def __contains__(self, value: object) -> bool:
        return is_number(value) and self.clip(value) == value

    def size(self) -> float:
        """Number of values; infinite for an interval."""
        if self.step is not None:
            return self.steps + 1
        return 1 if self.low == self.high else math.inf

    def ends(self) -> tuple[float, ...]:
        """The smallest and the largest value."""
        return (self.low, self.last)

    def probes(self) -> Sequence[float]:
        """The values that show whether a model accepts the domain: the ends."""
        return self.ends()

    def sample(self, rng: random.Random) -> float:
        """A value of the domain, for examples in a dry run; a search asks its sampler."""
        value = _log_uniform(rng, self.low, self.high) if self.log else rng.uniform(self.low, self.high)
        return self.clip(value)

    def distribution(self) -> "FloatDistribution":
        """The same domain for Optuna."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.last, log=self.log, step=self.step)

    def plain(self) -> dict[str, Any]:
        """The domain as YAML would give it; options at their defaults are left out."""
        return _range_plain("float", self.low, self.high, self.step, self.log)

    def __str__(self) -> str:
        return _range_text(self.low, self.high, self.step, self.log)


@dataclass(frozen=True)
class Choice:
    """One of several values: None, bool, int, float or text, mixed as one likes.

    Raises:
        ValueError: no value, a value of another type, or two that Python (and Optuna) hold equal,
            such as 1 and 1.0.
    """

    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("choices: expected at least one value, got an empty list")
        for index, value in enumerate(self.values):
            if not isinstance(value, bool | int | float | str | None):
                raise ValueError(
                    f"choices: expected plain values (text, numbers, true, false, null), got {value!r}"
                )
            for earlier in self.values[:index]:
                if earlier == value:
                    pair = "twice" if repr(earlier) == repr(value) else f"and the equal {earlier!r}"
                    raise ValueError(f"choices: expected different values, got {value!r} {pair}")

    def clip(self, value: Scalar) -> Scalar:
        """The value itself, else the nearest number for a number, else the first choice."""
        for choice in self.values:
            if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                return choice
        numbers = [choice for choice in self.values if is_number(choice)]
        if is_number(value) and numbers:
            return min(numbers, key=lambda number: abs(number - value))
        return self.values[0]

    def __contains__(self, value: object) -> bool:
        return any(
            choice == value and isinstance(choice, bool) == isinstance(value, bool) for choice in self.values
        )

    def size(self) -> float:
        """Number of values."""
        return len(self.values)

    def ends(self) -> tuple[Scalar, ...]:
        """All values: choices have no order."""
        return self.values

    def probes(self) -> Sequence[Scalar]:
        """The values that show whether a model accepts the domain: all."""
        return self.values

    def sample(self, rng: random.Random) -> Scalar:
        """A value of the domain, for examples in a dry run; a search asks its sampler."""
        return rng.choice(self.values)

    def distribution(self) -> "CategoricalDistribution":
        """The same domain for Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def plain(self) -> dict[str, Any]:
        """The domain as YAML would give it."""
        return {"choices": list(self.values)}

    def __str__(self) -> str:
        return f"[{', '.join(shown(value) for value in self.values)}]"


Domain = Integer | Float | Choice  # what is searched


def _check_range(kind: str, low: float, high: float, log: bool, stepped: bool) -> None:
    if low > high:
        raise ValueError(f"{kind}: expected low <= high, got [{shown(low)}, {shown(high)}]")
    if log and low <= 0:
        raise ValueError(f"{kind}: expected low above 0 for log: true, got [{shown(low)}, {shown(high)}]")
    if log and stepped:
        raise ValueError(f"{kind}: expected log or step, got both")


def _range_plain(kind: str, low: float, high: float, step: float | None, log: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {kind: [low, high]}
    if step is not None:
        plain["step"] = step
    if log:
        plain["log"] = True
    return plain


def _range_text(low: float, high: float, step: float | None, log: bool) -> str:
    steps = f" in steps of {shown(step)}" if step is not None else ""
    return f"[{shown(low)}, {shown(high)}]{steps}{' (log)' if log else ''}"


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _decimal(value: float | None) -> Decimal:
    return Decimal(repr(value))
