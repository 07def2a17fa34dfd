"""Runs a compiled function in several threads at once.

PyTorch's own threads are used where they can be reached: those of the OpenMP library that it came with. They
stay awake for some milliseconds after each operation, so other threads would have to share the cores with
them. Elsewhere the threads are Python's, which is slower, with the same result.
"""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch


def run_in_threads(function: int, argument: int, threads: int) -> None:
    """Calls the C function at address `function`, of type void (void *), once in each of some threads.

    Args:
        function: its address; it must not touch Python, and share out the work by itself.
        argument: the pointer that every call gets.
        threads: how many. The caller is one of them.
    """
    if threads <= 1:
        _CALL(function)(argument)
    elif (start_team := _openmp()) is not None:
        start_team(function, argument, threads, 0)
    else:
        with ThreadPoolExecutor(threads - 1) as pool:
            others = [pool.submit(_CALL(function), argument) for _ in range(threads - 1)]
            _CALL(function)(argument)
            for other in others:
                other.result()


_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)  # releases Python's lock during the call


@cache
def _openmp() -> Callable[[int, int, int, int], None] | None:
    """GOMP_parallel(function, argument, threads, flags) of the library that PyTorch has loaded."""
    for library in sorted(Path(torch.__file__).parent.glob("lib/libgomp*.so*")):
        try:
            start_team = ctypes.CDLL(str(library)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        start_team.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        start_team.restype = None
        return start_team
    return None
