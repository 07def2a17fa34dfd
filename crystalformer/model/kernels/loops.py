"""The attention sum and its gradient, portion by portion (see `crystalformer.model.portions`), for `cpu`.

Formulas and letters as in `crystalformer.model.attention`; for atom i, head h and image m = (j, n):

    s_m = q.k_j / sqrt(d) + a r_m^2,   p_m = exp(s_m - top) / norm,   O = sum p_m v_j,   B = sum p_m b(r_m)

and, with gO and gB the gradients of a loss by O and B,

    t_m = gO.v_j + gB.b(r_m),   ds_m = p_m (t_m - gO.O - gB.B)
    dq = sum ds_m k_j / sqrt(d),   dk_j = sum ds_m q / sqrt(d),   dv_j = sum p_m gO,   da = sum ds_m r_m^2.

Arrays are flat; eight heads are one vector, see `packed`. A run is the images of one pair (i, j), which
follow each other in the list: q.k_j is computed once per run.

Of the radial basis only the functions around r are computed: the others are below the rounding error of 1.
Every portion is one thread's work, in a fixed order, so the result depends neither on the number of threads
nor on the other crystals of the batch.
"""

from typing import Any

import numpy as np
from numba import njit

from crystalformer.model.kernels.packed import (
    add_scaled,
    dot,
    list_basis,
    margin,
    pack,
    parts,
    row_dot,
    rows,
    unpack,
    zeros,
)
from crystalformer.model.kernels.vector_math import add_outer, dot_rows, exp_below_zero
from crystalformer.model.kernels.vectors import (
    LANES,
    WIDE,
    larger,
    load,
    load_wide,
    muladd,
    splat,
    store,
    where_less,
)

LOWEST = -1e30  # below any logit


@njit
def columns(portions: Any, portion: int) -> Any:
    """A row of `Portions.table`."""
    at = 5 * portion
    return portions[at], portions[at + 1], portions[at + 2], portions[at + 3], portions[at + 4]


@njit
def forward_portion(portion: int, task: Any) -> None:
    """O, B, top and norm of the atoms i of one portion; `task` is a `Task` of `cpu`."""
    heads, width, size = task.heads, task.width, task.size
    first, atoms, low, high, _ = columns(task.portions, portion)
    number = task.q.dtype.type
    groups, window = -(-heads // LANES), margin(task.q)
    packed, packed_b = width * LANES, (size + 2 + 2 * window) * LANES
    masked = len(task.reach) > 0
    zero, scale = splat(number(0)), splat(number(1 / np.sqrt(width)))
    q, k, v = (
        zeros((high - low) * groups * packed, task.q),
        zeros(atoms * groups * packed, task.q),
        zeros(atoms * groups * packed, task.q),
    )
    for i in range(low, high):
        pack(task.q, (first + i) * heads * width, heads, width, q, (i - low) * groups * packed)
    for j in range(atoms):
        row, place = (first + j) * heads * width, j * groups * packed
        pack(task.k, row, heads, width, k, place)
        pack(task.v, row, heads, width, v, place)
    sum_v, sum_b = zeros(groups * packed, task.q), zeros(packed_b, task.q)
    a, cutoff, dots = zeros(LANES, task.q), zeros(LANES, task.q), zeros(atoms * LANES, task.q)
    most = 0
    for i in range(first + low, first + high):
        most = max(most, task.offsets[i + 1] - task.offsets[i])
    windows, places = zeros(most * parts(task.q) * WIDE, task.q), np.empty(most, np.int64)
    for i in range(low, high):
        start, end = task.offsets[first + i], task.offsets[first + i + 1]
        if size:
            list_basis(task, start, end, windows, places)
        for group in range(groups):
            lanes = min(LANES, heads - group * LANES)
            for lane in range(lanes):
                a[lane] = task.a[(first + i) * heads + group * LANES + lane]
                if masked:
                    cutoff[lane] = task.cutoff[(first + i) * heads + group * LANES + lane]
            rate, limit = load(a, 0), load(cutoff, 0)
            here = ((i - low) * groups + group) * packed

            top = splat(number(LOWEST))
            image, run = start, 0
            while image < end:
                j = task.key[image]
                product = scale * dot(q, here, k, ((j - first) * groups + group) * packed, width)
                store(dots, run, product)
                run += LANES
                while image < end and task.key[image] == j:
                    r = task.distance[image]
                    s = muladd(rate, splat(r * r), product)
                    if masked:
                        s = where_less(splat(task.reach[image]), limit, s, splat(number(LOWEST)))
                    top = larger(top, s)
                    image += 1

            norm = zero
            for d in range(width):
                store(sum_v, (group * width + d) * LANES, zero)
            for n in range(size + 2 + 2 * window):
                store(sum_b, n * LANES, zero)
            image, run = start, 0
            while image < end:
                j = task.key[image]
                product = load(dots, run)
                run += LANES
                weight = zero
                while image < end and task.key[image] == j:
                    r = task.distance[image]
                    p = exp_below_zero(muladd(rate, splat(r * r), product) - top)
                    if masked:
                        p = where_less(splat(task.reach[image]), limit, p, zero)
                    weight = weight + p
                    if size:
                        place = places[image - start]
                        for part in range(parts(sum_b)):
                            b = load_wide(windows, ((image - start) * parts(sum_b) + part) * WIDE)
                            add_outer(sum_b, place + part * rows(sum_b) * LANES, p, b)
                    image += 1
                norm = norm + weight
                there = ((j - first) * groups + group) * packed
                add_scaled(sum_v, group * packed, weight, v, there, width)

            store(task.tops, ((first + i) * groups + group) * LANES, top)
            store(task.norms, ((first + i) * groups + group) * LANES, norm)
            share = splat(number(1)) / norm
            for d in range(width):
                at = (group * width + d) * LANES
                store(sum_v, at, load(sum_v, at) * share)
            if size:
                for n in range(window, window + size):
                    store(sum_b, n * LANES, load(sum_b, n * LANES) * share)
                row = ((first + i) * heads + group * LANES) * size
                unpack(sum_b, window * LANES, lanes, size, task.averaged_b, row)
        unpack(sum_v, 0, heads, width, task.averaged_v, (first + i) * heads * width)


@njit
def backward_portion(portion: int, task: Any) -> None:
    """dq and da of the atoms i of one portion, and their part of dk and dv; `task` is a `Task` of `cpu`."""
    heads, width, size = task.heads, task.width, task.size
    first, atoms, low, high, row_of_sums = columns(task.portions, portion)
    number = task.q.dtype.type
    groups, window = -(-heads // LANES), margin(task.q)
    packed, packed_b = width * LANES, (size + 2 + 2 * window) * LANES
    masked = len(task.reach) > 0
    zero, scale = splat(number(0)), splat(number(1 / np.sqrt(width)))
    q, k, v, grad = (
        zeros((high - low) * groups * packed, task.q),
        zeros(atoms * groups * packed, task.q),
        zeros(atoms * groups * packed, task.q),
        zeros((high - low) * groups * packed, task.q),
    )
    for i in range(low, high):
        row, place = (first + i) * heads * width, (i - low) * groups * packed
        pack(task.q, row, heads, width, q, place)
        pack(task.grad_v, row, heads, width, grad, place)
    for j in range(atoms):
        row, place = (first + j) * heads * width, j * groups * packed
        pack(task.k, row, heads, width, k, place)
        pack(task.v, row, heads, width, v, place)
    dq = zeros(groups * packed, task.q)
    dk, dv = zeros(atoms * groups * packed, task.q), zeros(atoms * groups * packed, task.q)
    grad_b = zeros(packed_b, task.q)
    a, cutoff = zeros(LANES, task.q), zeros(LANES, task.q)
    means, da = zeros(LANES, task.q), zeros(LANES, task.q)
    most = 0
    for i in range(first + low, first + high):
        most = max(most, task.offsets[i + 1] - task.offsets[i])
    windows, places = zeros(most * parts(task.q) * WIDE, task.q), np.empty(most, np.int64)
    for i in range(low, high):
        start, end = task.offsets[first + i], task.offsets[first + i + 1]
        if size:
            list_basis(task, start, end, windows, places)
        for group in range(groups):
            lanes = min(LANES, heads - group * LANES)
            for lane in range(lanes):
                head = (first + i) * heads + group * LANES + lane
                a[lane] = task.a[head]
                if masked:
                    cutoff[lane] = task.cutoff[head]
                means[lane] = row_dot(task.grad_v, task.averaged_v, head * width, width)
                if size:
                    means[lane] += row_dot(task.grad_b, task.averaged_b, head * size, size)
            if size:
                row = ((first + i) * heads + group * LANES) * size
                pack(task.grad_b, row, lanes, size, grad_b, window * LANES)
            rate, limit, mean = load(a, 0), load(cutoff, 0), load(means, 0)
            at = ((first + i) * groups + group) * LANES
            top, share = load(task.tops, at), splat(number(1)) / load(task.norms, at)
            here = ((i - low) * groups + group) * packed
            grad_a = zero
            for d in range(width):
                store(dq, (group * width + d) * LANES, zero)

            image = start
            while image < end:
                j = task.key[image]
                there = ((j - first) * groups + group) * packed
                product = scale * dot(q, here, k, there, width)
                gain = dot(grad, here, v, there, width) - mean
                weight, slope = zero, zero
                while image < end and task.key[image] == j:
                    r = task.distance[image]
                    square = splat(r * r)
                    p = share * exp_below_zero(muladd(rate, square, product) - top)
                    if masked:
                        p = where_less(splat(task.reach[image]), limit, p, zero)
                    weight = weight + p
                    t = gain
                    if size:
                        place = places[image - start]
                        for part in range(parts(grad_b)):
                            b = load_wide(windows, ((image - start) * parts(grad_b) + part) * WIDE)
                            t = t + dot_rows(grad_b, place + part * rows(grad_b) * LANES, b)
                    ds = p * t
                    slope = slope + ds
                    grad_a = muladd(ds, square, grad_a)
                    image += 1
                slope = slope * scale
                add_scaled(dq, group * packed, slope, k, there, width)
                add_scaled(dk, there, slope, q, here, width)
                add_scaled(dv, there, weight, grad, here, width)

            store(da, 0, grad_a)
            for lane in range(lanes):
                task.da[(first + i) * heads + group * LANES + lane] = da[lane]
        unpack(dq, 0, heads, width, task.dq, (first + i) * heads * width)
    for j in range(atoms):
        row, place = (row_of_sums + j) * heads * width, j * groups * packed
        unpack(dk, place, heads, width, task.dk, row)
        unpack(dv, place, heads, width, task.dv, row)
