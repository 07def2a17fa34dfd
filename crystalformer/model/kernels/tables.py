"""How compiled functions get their arguments, and how threads share their work.

A C function of `crystalformer.compiled` takes one pointer, here to a table of int64: two counters that all
threads share, how many pieces of work there are, three numbers, and then the address and the length of each
array. Every thread runs the same function and takes the next piece until none is left.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import carray, njit, types
from numba.core.typing.templates import signature
from torch import Tensor

from crystalformer.model.kernels.team import run_in_threads
from crystalformer.model.kernels.vectors import instruction

FLOATS = {torch.float32: np.float32, torch.float64: np.float64}
TURN, FINISHED, COUNT, FIRST, SECOND, THIRD, HEAD = range(7)  # HEAD: where the arrays begin


def run(
    function: int, count: int, numbers: tuple[int, int, int], arrays: Sequence[Tensor], what: str
) -> None:
    """Runs the function at an address in threads, `torch.get_num_threads()` at most.

    Args:
        function: its address.
        count: pieces of work.
        numbers: three numbers for it.
        arrays: contiguous tensors on the CPU, which must outlive the call.
        what: the pieces, for the message.

    Raises:
        RuntimeError: some piece was not finished.
    """
    places = [number for array in arrays for number in (array.data_ptr(), array.numel())]
    table = np.array([0, 0, count, *numbers, *places], dtype=np.int64)
    run_in_threads(function, table.ctypes.data, min(torch.get_num_threads(), count))
    if table[FINISHED] != count:  # compiled code cannot raise: it reports and returns
        raise RuntimeError(f"the attention kernel finished {table[FINISHED]} of {count} {what}: no memory?")


@njit
def head_of(pointer: Any) -> Any:
    """The counters and numbers of a table."""
    return carray(pointer, HEAD, np.int64)


@njit
def array_of(pointer: Any, i: int, real: Any) -> Any:
    """Array number i of a table, of this type."""
    table = carray(pointer, HEAD + 2 * (i + 1), np.int64)
    return carray(_pointer(table[HEAD + 2 * i]), table[HEAD + 2 * i + 1], real)


@instruction
def next_of(typing: Any, table: Any, counter: Any) -> Any:
    """Raises a counter of the table by one, and returns what it was before."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(table)(context, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), ir.IntType(64)(1), "monotonic")

    return signature(types.int64, table, types.intp), lower


@instruction
def _pointer(typing: Any, address: Any) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return signature(types.voidptr, types.int64), lower
