"""Max frames on a CPU, fused: each head of each atom looks through its images, and nothing is kept of them.

The rules are those of `crystalformer.model.frames`.
"""

import math
from collections import namedtuple
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from crystalformer.compiled import c_function
from crystalformer.layers.segments import segment_offsets
from crystalformer.model.kernels.angle_loops import at_the_atom
from crystalformer.model.kernels.tables import (
    COUNT,
    FINISHED,
    FIRST,
    FLOATS,
    TURN,
    array_of,
    head_of,
    next_of,
    run,
)

# What the loops work on; `limits`: differences of equal log w, largest cosine for e_2, smallest 1 - cosine
Task = namedtuple("Task", "heads offsets unit rank limits log_weights scores frames")

NONE = -1


def fused_max_frames(
    log_weights: Tensor, unit: Tensor, counts: Tensor, rank: Tensor, limits: tuple[float, float, float]
) -> Tensor:
    """Max frames (atoms, heads, 3 axes, 3); the same bits for any number of threads.

    Args:
        log_weights: (images, heads), log w, -inf where w = 0.
        unit: (images, 3), directions; 0 for an image at the atom itself.
        counts: (atoms,), images of each atom.
        rank: (images,), decides between equals.
        limits: see `Task`.
    """
    heads = log_weights.shape[1]
    frames = log_weights.new_empty(len(counts), heads, 3, 3)
    arrays = (
        segment_offsets(counts).contiguous(),
        *(unit.contiguous(), rank.contiguous()),
        log_weights.new_tensor(limits),
        log_weights.contiguous(),
        log_weights.new_empty(len(log_weights)),
        frames,
    )
    run(_frames(log_weights.dtype), len(counts), (heads, 0, 0), arrays, "atoms")
    return frames


@cache
def _frames(dtype: torch.dtype) -> int:
    """The address of the compiled loops."""
    real = FLOATS[dtype]

    def frames(pointer: Any) -> None:
        head, task = head_of(pointer), _read_task(pointer, real)
        turn = next_of(head, TURN)
        while turn < head[COUNT]:
            for lane in range(task.heads):
                _frame_of(turn, lane, task)
            next_of(head, FINISHED)
            turn = next_of(head, TURN)

    return c_function(frames)


@njit
def _read_task(pointer: Any, real: Any) -> Any:
    """The `Task` of a table."""
    return Task(
        head_of(pointer)[FIRST],
        array_of(pointer, 0, np.int64),
        array_of(pointer, 1, real),
        array_of(pointer, 2, np.int64),
        array_of(pointer, 3, real),
        array_of(pointer, 4, real),
        array_of(pointer, 5, real),
        array_of(pointer, 6, real),
    )


@njit
def _frame_of(i: int, head: int, task: Any) -> None:
    """The frame of one atom and head. The scores of its images are at their places in `task.scores`."""
    images = range(task.offsets[i], task.offsets[i + 1])
    unit, scores = task.unit, task.scores
    for m in images:
        weight = task.log_weights[m * task.heads + head]
        scores[m] = -np.inf if at_the_atom(unit, m) else weight
    first = _largest(images, task)
    x1, y1, z1 = _direction(first, task)
    for m in images:
        cosine = abs(unit[3 * m] * x1 + unit[3 * m + 1] * y1 + unit[3 * m + 2] * z1)
        if cosine >= task.limits[1]:
            scores[m] = -np.inf
        else:
            scores[m] += math.log(max(1 - cosine, task.limits[2]))
    second = _largest(images, task)
    x2, y2, z2 = _direction(second, task)
    if second != NONE:
        along = x1 * x2 + y1 * y2 + z1 * z2
        x2, y2, z2 = x2 - along * x1, y2 - along * y1, z2 - along * z1
        length = math.sqrt(x2 * x2 + y2 * y2 + z2 * z2)
        x2, y2, z2 = x2 / length, y2 / length, z2 / length
    row = (i * task.heads + head) * 9
    frame = task.frames
    frame[row], frame[row + 1], frame[row + 2] = x1, y1, z1
    frame[row + 3], frame[row + 4], frame[row + 5] = x2, y2, z2
    frame[row + 6], frame[row + 7] = y1 * z2 - z1 * y2, z1 * x2 - x1 * z2
    frame[row + 8] = x1 * y2 - y1 * x2


@njit
def _direction(image: int, task: Any) -> Any:
    """rhat of an image; 0 of `NONE`."""
    if image == NONE:
        nothing = task.unit.dtype.type(0)
        return nothing, nothing, nothing
    return task.unit[3 * image], task.unit[3 * image + 1], task.unit[3 * image + 2]


@njit
def _largest(images: Any, task: Any) -> int:
    """The image with the largest score, of equal ones that of the last rank; `NONE` where all are -inf."""
    largest = task.limits.dtype.type(-np.inf)
    for m in images:
        largest = max(largest, task.scores[m])
    found, last = NONE, NONE
    if largest == -np.inf:
        return found
    for m in images:
        if task.scores[m] >= largest - task.limits[0] and task.rank[m] > last:
            found, last = m, task.rank[m]
    return found
