"""The attention sum and its gradient, crystal by crystal, for `cpu`.

Formulas and letters as in `crystalformer.model.attention`; for atom i, head h and image m = (j, n):

    s_m = q.k_j / sqrt(d) + a r_m^2,   p_m = exp(s_m - top) / norm,   O = sum p_m v_j,   B = sum p_m b(r_m)

and, with gO and gB the gradients of a loss by O and B,

    t_m = gO.v_j + gB.b(r_m),   ds_m = p_m (t_m - gO.O - gB.B)
    dq = sum ds_m k_j / sqrt(d),   dk_j = sum ds_m q / sqrt(d),   dv_j = sum p_m gO,   da = sum ds_m r_m^2.

Arrays are flat. Inside, eight heads are one `Vector`: an array (heads, n) of an atom is packed as
(groups, n, 8) with head 8 g + lane. Missing heads of the last group compute on zeros and are dropped.
A run is the images of one pair (i, j), which follow each other in the list: q.k_j is computed once per run.

Of the radial basis only the functions around r are computed: the others are below the rounding error of 1.
Every crystal is one thread's work, in a fixed order, so the result depends neither on the number of threads
nor on the other crystals of the batch.
"""

from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.core.typing.templates import signature

from crystalformer.model.kernels.vectors import (
    LANES,
    exp_below_zero,
    instruction,
    larger,
    load,
    muladd,
    splat,
    steps,
    store,
    total,
    transpose,
    where_less,
)

# Basis functions computed per image, even: all within half as many widths. exp(-6^2 / 2) = 1.5e-8 and
# exp(-9^2 / 2) = 2.6e-18 are less than a quarter of the spacing of float32 and float64 numbers below 1.
LOWEST = -1e30  # below any logit
WINDOW = {types.float32: 12, types.float64: 18}


@instruction
def _window(typing: Any, values: Any) -> Any:
    """`WINDOW` of an array's numbers, as a constant, so that loops over it are unrolled."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(types.intp, WINDOW[values.dtype])

    return signature(types.intp, values), lower


@njit
def pack(source: Any, start: int, heads: int, length: int, target: Any, place: int) -> None:
    """Copies rows (heads, length) from `start` to (groups, length, 8) from `place`, except padding."""
    for first in range(0, heads, LANES):
        row, column = start + first * length, place + first * length
        done = 0
        if heads - first >= LANES:
            for d in range(0, length - LANES + 1, LANES):
                block = transpose(
                    load(source, row + d),
                    load(source, row + length + d),
                    load(source, row + 2 * length + d),
                    load(source, row + 3 * length + d),
                    load(source, row + 4 * length + d),
                    load(source, row + 5 * length + d),
                    load(source, row + 6 * length + d),
                    load(source, row + 7 * length + d),
                )
                for i in range(LANES):
                    store(target, column + (d + i) * LANES, block[i])
                done = d + LANES
        for lane in range(min(LANES, heads - first)):
            for d in range(done, length):
                target[column + d * LANES + lane] = source[row + lane * length + d]


@njit
def unpack(source: Any, place: int, heads: int, length: int, target: Any, start: int) -> None:
    """The inverse of `pack`: (groups, length, 8) from `place` to rows (heads, length) from `start`."""
    for first in range(0, heads, LANES):
        row, column = start + first * length, place + first * length
        done = 0
        if heads - first >= LANES:
            for d in range(0, length - LANES + 1, LANES):
                block = transpose(
                    load(source, column + d * LANES),
                    load(source, column + (d + 1) * LANES),
                    load(source, column + (d + 2) * LANES),
                    load(source, column + (d + 3) * LANES),
                    load(source, column + (d + 4) * LANES),
                    load(source, column + (d + 5) * LANES),
                    load(source, column + (d + 6) * LANES),
                    load(source, column + (d + 7) * LANES),
                )
                for i in range(LANES):
                    store(target, row + i * length + d, block[i])
                done = d + LANES
        for lane in range(min(LANES, heads - first)):
            for d in range(done, length):
                target[row + lane * length + d] = source[column + d * LANES + lane]


@njit
def dot(x: Any, at_x: int, y: Any, at_y: int, length: int) -> Any:
    """Scalar products of `length` packed vectors, in four sums that do not wait for each other."""
    even = odd = splat(x.dtype.type(0))
    third = fourth = even
    paired = length // 4 * 4
    for d in range(0, paired, 4):
        even = muladd(load(x, at_x + d * LANES), load(y, at_y + d * LANES), even)
        odd = muladd(load(x, at_x + (d + 1) * LANES), load(y, at_y + (d + 1) * LANES), odd)
        third = muladd(load(x, at_x + (d + 2) * LANES), load(y, at_y + (d + 2) * LANES), third)
        fourth = muladd(load(x, at_x + (d + 3) * LANES), load(y, at_y + (d + 3) * LANES), fourth)
    for d in range(paired, length):
        even = muladd(load(x, at_x + d * LANES), load(y, at_y + d * LANES), even)
    return (even + odd) + (third + fourth)


@njit
def add_scaled(target: Any, at: int, weight: Any, source: Any, at_source: int, length: int) -> None:
    """Adds weight times `length` packed vectors."""
    for d in range(length):
        here = at + d * LANES
        store(target, here, muladd(weight, load(source, at_source + d * LANES), load(target, here)))


@njit
def basis_window(r: Any, size: int, spacing: Any, values: Any) -> int:
    """b_k(r) of the functions around r into `values`; the first one's place in a basis with padded ends."""
    window = _window(values)
    u = r / spacing
    limit = values.dtype.type(size + window)
    first = (
        int(u if u < limit else limit) - window // 2
    )  # as k - 1: the centre of the first basis function is 1
    first = min(first, size)
    nearest = (values.dtype.type(first + 1) * spacing - r) / spacing
    for t in range(0, window, LANES):
        offset = splat(nearest + values.dtype.type(t)) + steps(nearest)
        store(values, t, exp_below_zero(offset * offset * splat(values.dtype.type(-0.5))))
    return (first + window) * LANES


@njit
def forward_crystal(crystal: int, task: Any) -> None:
    """O, B, top and norm of the atoms of one crystal; `task` is a `Task` of `cpu`."""
    heads, width, size, spacing = task.heads, task.width, task.size, task.spacing[0]
    first = task.starts[crystal]
    atoms = task.starts[crystal + 1] - first
    dtype, number = task.q.dtype, task.q.dtype.type
    groups, window = -(-heads // LANES), _window(task.q)
    packed, packed_b = width * LANES, (size + 2 * window) * LANES
    masked = len(task.reach) > 0
    zero, scale = splat(number(0)), splat(number(1 / np.sqrt(width)))
    q, k, v = (
        np.zeros(atoms * groups * packed, dtype),
        np.zeros(atoms * groups * packed, dtype),
        np.zeros(atoms * groups * packed, dtype),
    )
    for i in range(atoms):
        row, place = (first + i) * heads * width, i * groups * packed
        pack(task.q, row, heads, width, q, place)
        pack(task.k, row, heads, width, k, place)
        pack(task.v, row, heads, width, v, place)
    sum_v, sum_b = np.empty(groups * packed, dtype), np.empty(packed_b, dtype)
    a, cutoff, dots = np.zeros(LANES, dtype), np.zeros(LANES, dtype), np.empty(atoms * LANES, dtype)
    near = np.empty(window + LANES, dtype)
    for i in range(atoms):
        start, end = task.offsets[first + i], task.offsets[first + i + 1]
        for group in range(groups):
            lanes = min(LANES, heads - group * LANES)
            for lane in range(lanes):
                a[lane] = task.a[(first + i) * heads + group * LANES + lane]
                if masked:
                    cutoff[lane] = task.cutoff[(first + i) * heads + group * LANES + lane]
            rate, limit = load(a, 0), load(cutoff, 0)
            here = (i * groups + group) * packed

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
            for n in range(size + 2 * window):
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
                        place = basis_window(r, size, spacing, near)
                        for t in range(window):
                            at = place + t * LANES
                            store(sum_b, at, muladd(p, splat(near[t]), load(sum_b, at)))
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
def backward_crystal(crystal: int, task: Any) -> None:
    """dq, dk, dv and da of the atoms of one crystal; `task` is a `Task` of `cpu`."""
    heads, width, size, spacing = task.heads, task.width, task.size, task.spacing[0]
    first = task.starts[crystal]
    atoms = task.starts[crystal + 1] - first
    dtype, number = task.q.dtype, task.q.dtype.type
    groups, window = -(-heads // LANES), _window(task.q)
    packed, packed_b = width * LANES, (size + 2 * window) * LANES
    masked = len(task.reach) > 0
    zero, scale = splat(number(0)), splat(number(1 / np.sqrt(width)))
    q, k, v, grad = (
        np.zeros(atoms * groups * packed, dtype),
        np.zeros(atoms * groups * packed, dtype),
        np.zeros(atoms * groups * packed, dtype),
        np.zeros(atoms * groups * packed, dtype),
    )
    for i in range(atoms):
        row, place = (first + i) * heads * width, i * groups * packed
        pack(task.q, row, heads, width, q, place)
        pack(task.k, row, heads, width, k, place)
        pack(task.v, row, heads, width, v, place)
        pack(task.grad_v, row, heads, width, grad, place)
    dq = np.empty(groups * packed, dtype)
    dk, dv = np.zeros(atoms * groups * packed, dtype), np.zeros(atoms * groups * packed, dtype)
    grad_b = np.zeros(packed_b, dtype)
    a, cutoff = np.zeros(LANES, dtype), np.zeros(LANES, dtype)
    means, da = np.zeros(LANES, dtype), np.zeros(LANES, dtype)
    near = np.empty(window + LANES, dtype)
    for i in range(atoms):
        start, end = task.offsets[first + i], task.offsets[first + i + 1]
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
            here = (i * groups + group) * packed
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
                    even, odd = gain, zero
                    if size:
                        place = basis_window(r, size, spacing, near)
                        for t in range(0, window, 2):
                            at = place + t * LANES
                            even = muladd(splat(near[t]), load(grad_b, at), even)
                            odd = muladd(splat(near[t + 1]), load(grad_b, at + LANES), odd)
                    ds = p * (even + odd)
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
    for i in range(atoms):
        row, place = (first + i) * heads * width, i * groups * packed
        unpack(dk, place, heads, width, task.dk, row)
        unpack(dv, place, heads, width, task.dv, row)


@njit
def row_dot(x: Any, y: Any, start: int, length: int) -> Any:
    """Scalar product of two rows, as they lie in memory."""
    sums = splat(x.dtype.type(0))
    done = length // LANES * LANES
    for n in range(start, start + done, LANES):
        sums = muladd(load(x, n), load(y, n), sums)
    result = total(sums)
    for n in range(start + done, start + length):
        result += x[n] * y[n]
    return result
