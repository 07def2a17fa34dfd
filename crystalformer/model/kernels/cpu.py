"""The attention sum on a CPU, fused: every image is visited once forward and once backward.

Nothing is stored per image or per pair of atoms: memory is linear in the number of atoms. The loops are in
`loops`; here they become C functions that take one pointer, to a table of addresses (`tables`).
"""

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystalformer.compiled import c_function
from crystalformer.model.images import ImageList, box_cutoff
from crystalformer.model.kernels.loops import backward_portion, forward_portion
from crystalformer.model.kernels.tables import (
    COUNT,
    FINISHED,
    FIRST,
    FLOATS,
    SECOND,
    THIRD,
    TURN,
    array_of,
    head_of,
    next_of,
    run,
)
from crystalformer.model.kernels.vectors import LANES
from crystalformer.model.portions import Portions

# What the loops work on: numbers, integer arrays and floating-point arrays, all flat, in the table's order.
Task = namedtuple(
    "Task",
    """heads width size
    portions offsets key
    q k v a distance reach cutoff spacing averaged_v averaged_b tops norms grad_v grad_b dq dk dv da""",
)


def attend(q: Tensor, k: Tensor, v: Tensor, a: Tensor, images: ImageList) -> tuple[Tensor, Tensor | None]:
    """`crystalformer.model.kernels.reference.attend`, for float32 and float64 tensors on a CPU.

    The result has the same bits in every run, with any number of threads and beside any other crystals.
    Threads: `torch.get_num_threads()`, which share crystals and portions of large ones. It can be
    differentiated once, by q, k, v and a.

    Raises:
        ValueError: tensors of another kind, or distances that are to be differentiated.
    """
    if q.device.type != "cpu" or q.dtype not in FLOATS:
        raise ValueError(
            f"kernel: 'cpu' expects float32 or float64 tensors on a CPU, got {q.dtype} on {q.device}; "
            "use 'auto' or 'reference'"
        )
    if images.distance.requires_grad:
        raise ValueError(
            "kernel: 'cpu' expects positions and lattices that need no gradient, got some that do; "
            "use 'auto' or 'reference'"
        )
    averaged_v, averaged_b = _Attend.apply(q, k, v, a, images)
    return averaged_v, averaged_b


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, a: Tensor, images: ImageList
    ) -> tuple[Tensor, Tensor | None]:
        atoms, heads, _ = q.shape
        q, k, v, a = (x.contiguous() for x in (q, k, v, a))
        size = 0 if images.basis is None else images.basis.size
        averaged_v, averaged_b = torch.empty_like(v), q.new_empty(atoms, heads, size)
        tops, norms = (q.new_empty(atoms, -(-heads // LANES) * LANES) for _ in range(2))
        inputs, none = _inputs(q, k, v, a, images), q.new_empty(0)
        arrays = *inputs, averaged_v, averaged_b, tops, norms, *[none] * 6
        _run(_forward, images.portions, q.shape, size, arrays)
        ctx.images, ctx.size = images, size
        ctx.save_for_backward(q, k, v, a, averaged_v, averaged_b, tops, norms)
        return averaged_v, averaged_b if size else None

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_v: Tensor, grad_b: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, a, averaged_v, averaged_b, tops, norms = ctx.saved_tensors
        portions: Portions = ctx.images.portions
        dq, da = torch.empty_like(q), torch.empty_like(a)
        dk, dv = (q.new_empty(portions.rows, *q.shape[1:]) for _ in range(2))
        grad_b = averaged_b if grad_b is None else grad_b  # empty, in the simplified model
        arrays = (
            *_inputs(q, k, v, a, ctx.images),
            *(averaged_v, averaged_b, tops, norms),
            *(grad_v.contiguous(), grad_b.contiguous(), dq, dk, dv, da),
        )
        _run(_backward, portions, q.shape, ctx.size, arrays)
        return dq, portions.add_up(dk), portions.add_up(dv), da, None


def _inputs(q: Tensor, k: Tensor, v: Tensor, a: Tensor, images: ImageList) -> tuple[Tensor, ...]:
    """The arrays of `Task` that both passes read."""
    none = q.new_empty(0)
    reach = none if images.reach is None else images.reach.to(q.dtype)
    cutoff = none if images.reach is None else box_cutoff(a).contiguous()
    spacing = q.new_tensor([1.0 if images.basis is None else images.basis.width])
    distance = images.distance.to(q.dtype)
    flat = images.offsets, images.key, q, k, v, a, distance, reach, cutoff, spacing
    return tuple(array.contiguous() for array in flat)


def _run(
    function: Callable[[torch.dtype], int],
    portions: Portions,
    shape: Sequence[int],
    size: int,
    arrays: Sequence[Tensor],
) -> None:
    """Runs a function over the portions of a batch, the largest first, each thread taking the next one."""
    numbers = shape[1], shape[2], size
    table = portions.table
    run(function(arrays[-1].dtype), len(table), numbers, (table, *arrays), "crystals or portions")


@cache
def _forward(dtype: torch.dtype) -> int:
    """The address of the compiled forward pass."""
    real = FLOATS[dtype]

    def forward(pointer: Any) -> None:
        head = head_of(pointer)
        task = _read_task(pointer, real)
        turn = next_of(head, TURN)
        while turn < head[COUNT]:
            forward_portion(turn, task)
            next_of(head, FINISHED)
            turn = next_of(head, TURN)

    return c_function(forward)


@cache
def _backward(dtype: torch.dtype) -> int:
    """The address of the compiled backward pass."""
    real = FLOATS[dtype]

    def backward(pointer: Any) -> None:
        head = head_of(pointer)
        task = _read_task(pointer, real)
        turn = next_of(head, TURN)
        while turn < head[COUNT]:
            backward_portion(turn, task)
            next_of(head, FINISHED)
            turn = next_of(head, TURN)

    return c_function(backward)


@njit
def _read_task(pointer: Any, real: Any) -> Any:
    """The `Task` of a table."""
    head = head_of(pointer)
    return Task(
        head[FIRST],
        head[SECOND],
        head[THIRD],
        array_of(pointer, 0, np.int64),
        array_of(pointer, 1, np.int64),
        array_of(pointer, 2, np.int64),
        array_of(pointer, 3, real),
        array_of(pointer, 4, real),
        array_of(pointer, 5, real),
        array_of(pointer, 6, real),
        array_of(pointer, 7, real),
        array_of(pointer, 8, real),
        array_of(pointer, 9, real),
        array_of(pointer, 10, real),
        array_of(pointer, 11, real),
        array_of(pointer, 12, real),
        array_of(pointer, 13, real),
        array_of(pointer, 14, real),
        array_of(pointer, 15, real),
        array_of(pointer, 16, real),
        array_of(pointer, 17, real),
        array_of(pointer, 18, real),
        array_of(pointer, 19, real),
        array_of(pointer, 20, real),
    )
