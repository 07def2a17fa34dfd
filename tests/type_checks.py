"""Checks the shapes of arrays in the tests, by beartype."""

from collections.abc import Callable
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray


def checked(function: Callable) -> Callable:
    """The function with its arguments and results checked that have a shape.

    All other types are mypy's: while a program runs they would be asked too much, NumPy's numbers not being
    Python's, and settings of a wrong type are refused with messages of their own, which tests look for.
    """
    hints = function.__annotations__
    hints.update({name: Any for name, hint in hints.items() if not _has_shape(hint)})
    return beartype(function)


def _has_shape(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(map(_has_shape, get_args(hint)))
