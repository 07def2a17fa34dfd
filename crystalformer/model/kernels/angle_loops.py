"""Averages of the angular basis and their gradient, atom by atom, for `cpu_angles`.

Letters as in `crystalformer.model.angles`: for atom i and head h, with t = (e_k.rhat_m + 1) / Delta,

    A_kd = sum_m p_m b_d,   b_d = exp(-(t - d)^2 / 2 s^2),   d = 0..D-1,

and, with gA the gradient of a loss by A, that by log p_m is p_m sum_kd gA_kd b_d.

Neighbouring functions follow from each other by two products,

    b_(d+1) = b_d r_d,   r_d = exp((2 (t - d) - 1) / 2 s^2),   r_(d+1) = r_d exp(-1 / s^2),

which start anew with every `step` of them, so that rounding errors and numbers that are too small for the
format stay where they do not matter. Eight heads are one vector, as in `loops`.
"""

from typing import Any

import numpy as np
from numba import njit

from crystalformer.model.kernels.packed import pack, zeros
from crystalformer.model.kernels.vector_math import exp_below_zero
from crystalformer.model.kernels.vectors import LANES, load, muladd, splat, store, total

AXES = 3


@njit
def angles_of_atom(i: int, task: Any) -> None:
    """A of one atom; `task` is a `Task` of `cpu_angles`."""
    heads, size, step = task.heads, task.size, task.step
    padded = -(-size // step) * step
    number = task.scales.dtype.type
    half, narrow = splat(task.scales[0]), splat(task.scales[1])
    slope, fall, one = splat(task.scales[2]), splat(task.scales[3]), splat(number(1))
    axes, chances = zeros(AXES * 3 * LANES, task.unit), zeros(LANES, task.unit)
    sums = zeros(AXES * padded * LANES, task.unit)
    for first in range(0, heads, LANES):
        lanes = min(LANES, heads - first)
        pack(task.frames, (i * heads + first) * AXES * 3, lanes, AXES * 3, axes, 0)
        for at in range(AXES * padded):
            store(sums, at * LANES, splat(number(0)))
        for image in range(task.offsets[i], task.offsets[i + 1]):
            p = chances_of(task, image, first, lanes, chances)
            if total(p) <= task.scales[4] or at_the_atom(task.unit, image):
                continue
            for axis in range(AXES):
                t = (cosine_of(task.unit, image, axes, axis) + one) * half
                for start in range(0, padded, step):
                    z = t - splat(number(start))
                    b = p * exp_below_zero(narrow * z * z)
                    r = exp_below_zero(muladd(slope, z, narrow))
                    at = (axis * padded + start) * LANES
                    for _ in range(step):
                        store(sums, at, load(sums, at) + b)
                        b, r = b * r, r * fall
                        at += LANES
        for axis in range(AXES):
            for lane in range(lanes):
                row = ((i * heads + first + lane) * AXES + axis) * size
                for d in range(size):
                    task.averages[row + d] = sums[(axis * padded + d) * LANES + lane]


@njit
def slopes_of_atom(i: int, task: Any) -> None:
    """Gradient by log p of the images of one atom; `task` is a `Task` of `cpu_angles`."""
    heads, size, step = task.heads, task.size, task.step
    padded = -(-size // step) * step
    number = task.scales.dtype.type
    half, narrow = splat(task.scales[0]), splat(task.scales[1])
    slope, fall, one = splat(task.scales[2]), splat(task.scales[3]), splat(number(1))
    axes, chances = zeros(AXES * 3 * LANES, task.unit), zeros(LANES, task.unit)
    gains, result = zeros(AXES * padded * LANES, task.unit), zeros(LANES, task.unit)
    for first in range(0, heads, LANES):
        lanes = min(LANES, heads - first)
        pack(task.frames, (i * heads + first) * AXES * 3, lanes, AXES * 3, axes, 0)
        for axis in range(AXES):
            for lane in range(lanes):
                row = ((i * heads + first + lane) * AXES + axis) * size
                for d in range(size):
                    gains[(axis * padded + d) * LANES + lane] = task.averages[row + d]
        for image in range(task.offsets[i], task.offsets[i + 1]):
            p = chances_of(task, image, first, lanes, chances)
            gain = splat(number(0))
            if not (total(p) <= task.scales[4] or at_the_atom(task.unit, image)):
                for axis in range(AXES):
                    t = (cosine_of(task.unit, image, axes, axis) + one) * half
                    for start in range(0, padded, step):
                        z = t - splat(number(start))
                        b = exp_below_zero(narrow * z * z)
                        r = exp_below_zero(muladd(slope, z, narrow))
                        at = (axis * padded + start) * LANES
                        for _ in range(step):
                            gain = muladd(load(gains, at), b, gain)
                            b, r = b * r, r * fall
                            at += LANES
            store(result, 0, p * gain)
            for lane in range(lanes):
                task.slopes[image * heads + first + lane] = result[lane]


@njit
def chances_of(task: Any, image: int, first: int, lanes: int, chances: Any) -> Any:
    """p of an image in some heads; 0 in lanes without a head."""
    for lane in range(lanes):
        chances[lane] = task.log_weights[image * task.heads + first + lane]
    for lane in range(lanes, LANES):
        chances[lane] = -np.inf
    return exp_below_zero(load(chances, 0))


@njit
def at_the_atom(unit: Any, image: int) -> bool:
    """Whether an image has no direction."""
    return unit[3 * image] == 0 and unit[3 * image + 1] == 0 and unit[3 * image + 2] == 0


@njit
def cosine_of(unit: Any, image: int, axes: Any, axis: int) -> Any:
    """e_k.rhat of an image in some heads."""
    result = splat(unit[3 * image]) * load(axes, 3 * axis * LANES)
    for x in range(1, 3):
        result = muladd(splat(unit[3 * image + x]), load(axes, (3 * axis + x) * LANES), result)
    return result
