"""The values a parameter can have, as YAML gives them: None, bool, int, float and str."""

import math
from typing import Any, TypeGuard

Scalar = None | bool | int | float | str


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite int or float; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an int; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """A value as YAML would write it, floats with up to six digits."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)
