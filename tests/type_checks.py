"""Checks the shapes of arrays in the tests, by beartype."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray, install_import_hook

ROOT = Path(__file__).resolve().parents[1]


def check_shapes() -> None:
    """Checks them at each call of what is imported after this, in the tests alone: training pays nothing.

    Only modules that annotate shapes are visited, because each call of a function in these costs more.
    """
    sources = [path for package in ("crystalformer", "baselines") for path in (ROOT / package).rglob("*.py")]
    shaped = [path for path in sources if "from jaxtyping import" in path.read_text(encoding="utf-8")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in shaped]
    install_import_hook(names, "type_checks.checked")


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
