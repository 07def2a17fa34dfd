"""Machine code of functions compiled by Numba, kept so that it is made once and not in every process.

It is kept in the first folder that can be written to of `NUMBA_CACHE_DIR` (if set), `__pycache__` beside the
source and the user's cache folder; without any, every process compiles for itself. The folder's name has a
digest of the source files beside the function's own, since Numba notices a change of the file with the
function, but not of the files that it calls into. Numba itself tells CPUs and versions apart.
"""

import hashlib
import inspect
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

import numba

_SETTINGS: Any = numba.config
_LOCK = RLock()  # around a setting of Numba that the whole process shares
_KEPT: list[Any] = []  # C functions, whose machine code must stay in memory


def c_function(function: Callable[[Any], None]) -> int:
    """Compiles a function to C's void (void *), or reads it from the cache; returns its address."""
    with _caching(function) as caching:
        result: Any = numba.cfunc("void(voidptr)", cache=caching)(function)
    _KEPT.append(result)
    return result.address


def compiled(function: Callable) -> Callable:
    """Decorator: compiles a function when it is first called; it runs without Python's lock."""
    with _caching(function) as caching:
        return numba.njit(nogil=True, cache=caching)(function)


@contextmanager
def _caching(function: Callable) -> Iterator[bool]:
    """Tells Numba the folder for a function; whether there is one."""
    folder = cache_folder(Path(inspect.getfile(function)).parent)
    with _LOCK:
        before = _SETTINGS.CACHE_DIR
        _SETTINGS.CACHE_DIR = "" if folder is None else str(folder)
        try:
            yield folder is not None
        finally:
            _SETTINGS.CACHE_DIR = before


@cache
def cache_folder(sources: Path) -> Path | None:
    """The folder for machine code of the Python files in `sources`, or None where none can be written to."""
    digest = hashlib.sha256()
    for source in sorted(sources.glob("*.py")):
        digest.update(source.read_bytes())
    name = f"{sources.name}-{digest.hexdigest()[:12]}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    candidates = [sources / "__pycache__", user / "crystalformer"]
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        candidates.insert(0, Path(chosen))
    return next((folder / name for folder in candidates if _writable(folder / name)), None)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
