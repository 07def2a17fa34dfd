"""What settings of several models and rules must be: whole numbers, lengths, lengths up to the radius."""

import math
from typing import Any


def check_whole_numbers(config: Any, **least: int) -> None:
    """Raises ValueError unless every field that is named is a whole number of at least the value given."""
    for name, low in least.items():
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"{name}: expected a whole number of at least {low}, got {value!r}")


def check_lengths(config: Any, *names: str) -> None:
    """Raises ValueError unless every field that is named is a finite length above 0 Å."""
    for name in names:
        value = getattr(config, name)
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: expected a length above 0 Å, got {value!r}")


def check_within_radius(config: Any, name: str) -> None:
    """Raises ValueError unless the field `name` is a length above 0 and at most `config.radius`, in Å."""
    value = getattr(config, name)
    if not 0 < value <= config.radius:
        raise ValueError(
            f"{name}: expected above 0 and at most the radius of {config.radius} Å, got {value!r}"
        )
