"""The averages of CrystalFramer's angular basis on a CPU, fused: nothing is stored per image and function.

The loops are in `angle_loops`.
"""

import math
from collections import namedtuple
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystalformer.compiled import c_function
from crystalformer.layers.segments import segment_offsets
from crystalformer.model.kernels.angle_loops import angles_of_atom, slopes_of_atom
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

# What the loops work on; `scales`: (D - 1) / 2, -1 / 2 s^2, 1 / s^2, exp(-1 / s^2), smallest p that counts
Task = namedtuple("Task", "heads size step offsets unit frames scales log_weights averages slopes")

STEP = 8  # functions that follow from one another, at most
STEEPEST = 80.0  # of the exponent of r, so that r is no infinite number


def step_of(size: int, width: float) -> int:
    """Functions that may follow from one another: 0 where they are so narrow that this kernel cannot do it.

    With numbers below e^-69 as 0, the first of a group is 0 where t is 11.7 s away from it; the last must be
    negligible there, too, which it is 5.7 s away.
    """
    if (size + STEP) / width**2 > STEEPEST:
        return 0
    return min(STEP, math.floor(6 * width) + 1)


class AverageAngles(torch.autograd.Function):
    """A of `crystalformer.model.angles` from log p (images, heads); differentiable by these alone, once.

    The other arguments: frames (atoms, heads, 3 axes, 3), images of each atom (atoms,), directions
    (images, 3), D and s. The result has the same bits in every run and with any number of threads.
    """

    @staticmethod
    def forward(
        ctx: Any, log_weights: Tensor, frames: Tensor, counts: Tensor, unit: Tensor, size: int, width: float
    ) -> Tensor:
        """A, (atoms, heads, 3, D)."""
        averages = log_weights.new_empty(*frames.shape[:2], 3, size)
        scales = (size - 1) / 2, -0.5 / width**2, 1 / width**2, math.exp(-1 / width**2)
        shared = (
            segment_offsets(counts).contiguous(),
            *(unit.contiguous(), frames.contiguous()),
            log_weights.new_tensor([*scales, torch.finfo(log_weights.dtype).eps]),
            log_weights.contiguous(),
        )
        ctx.numbers = frames.shape[1], size, step_of(size, width)
        _run(_averages, ctx.numbers, (*shared, averages, log_weights.new_empty(0)))
        ctx.save_for_backward(*shared)
        return averages

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of log p."""
        shared = ctx.saved_tensors
        slopes = torch.empty_like(shared[-1])
        _run(_slopes, ctx.numbers, (*shared, gradient.contiguous(), slopes))
        return slopes, None, None, None, None, None


def _run(function: Any, numbers: tuple[int, int, int], arrays: tuple[Tensor, ...]) -> None:
    run(function(arrays[1].dtype), len(arrays[0]) - 1, numbers, arrays, "atoms")


@cache
def _averages(dtype: torch.dtype) -> int:
    """The address of the compiled forward pass."""
    real = FLOATS[dtype]

    def averages(pointer: Any) -> None:
        head, task = head_of(pointer), _read_task(pointer, real)
        turn = next_of(head, TURN)
        while turn < head[COUNT]:
            angles_of_atom(turn, task)
            next_of(head, FINISHED)
            turn = next_of(head, TURN)

    return c_function(averages)


@cache
def _slopes(dtype: torch.dtype) -> int:
    """The address of the compiled backward pass."""
    real = FLOATS[dtype]

    def slopes(pointer: Any) -> None:
        head, task = head_of(pointer), _read_task(pointer, real)
        turn = next_of(head, TURN)
        while turn < head[COUNT]:
            slopes_of_atom(turn, task)
            next_of(head, FINISHED)
            turn = next_of(head, TURN)

    return c_function(slopes)


@njit
def _read_task(pointer: Any, real: Any) -> Any:
    """The `Task` of a table."""
    head = head_of(pointer)
    return Task(
        head[FIRST],
        head[SECOND],
        head[THIRD],
        array_of(pointer, 0, np.int64),
        array_of(pointer, 1, real),
        array_of(pointer, 2, real),
        array_of(pointer, 3, real),
        array_of(pointer, 4, real),
        array_of(pointer, 5, real),
        array_of(pointer, 6, real),
    )
