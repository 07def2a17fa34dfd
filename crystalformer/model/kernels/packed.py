"""Heads packed into vectors, and the radial basis of an atom's images: what the loops are made of.

An array (heads, n) of an atom is packed as (groups, n, 8), flat, with head 8 g + lane. Missing heads of the
last group are zeros.
"""

from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.core.typing.templates import signature

from crystalformer.model.kernels.vector_math import ROWS, gaussians
from crystalformer.model.kernels.vectors import (
    LANES,
    WIDE,
    instruction,
    load,
    muladd,
    splat,
    store,
    total,
    transpose,
)

# Basis functions computed per image: PARTS times ROWS of them, an even number from an even place on, since a
# CPU is slow to read what it has just written in other portions. They hold all within REACH widths of r. The
# others, exp(-6^2 / 2) = 1.5e-8 or exp(-9^2 / 2) = 2.6e-18, are less than a quarter of the spacing of float32
# and float64 numbers below 1.
REACH = {types.float32: 6, types.float64: 9}
PARTS = {types.float32: 1, types.float64: 2}


def _by_type(name: str, table: Any) -> Any:
    """A function of an array that gives the table's number for its type, known when compiling."""

    def typed(typing: Any, values: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return context.get_constant(types.intp, table[values.dtype])

        return signature(types.intp, values), lower

    typed.__name__ = name
    return instruction(typed)


reach, rows, parts = (
    _by_type("reach", REACH),
    _by_type("rows", ROWS),
    _by_type("parts", PARTS),
)
margin = _by_type("margin", {real: ROWS[real] * PARTS[real] for real in ROWS})


@njit
def zeros(size: int, like: Any) -> Any:
    """An array of zeros that begins with a cache line, of 64 bytes."""
    spare = 64 // like.itemsize
    array = np.zeros(size + spare, like.dtype)
    first = -(array.ctypes.data // like.itemsize) % spare
    return array[first : first + size]


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
def list_basis(task: Any, start: int, end: int, windows: Any, places: Any) -> None:
    """b_k(r) of the functions around r, of the images of an atom, and their place in rows of eight.

    The rows begin with `margin(task.q)` spare ones. Images so far away that no function reaches them get
    spare rows behind the last function. A loop of its own, since a CPU works on several images at a time only
    as far as their instructions fit into its window.
    """
    number, size, spacing = task.q.dtype.type, task.size, task.spacing[0]
    per_spacing = number(1) / spacing
    limit, before = number(size + 2), reach(task.q)
    for image in range(start, end):
        r = task.distance[image]
        u = r * per_spacing  # at k, counted from 1, lies the centre of the k-th function
        first = int(u if u < limit else limit) - before
        first = min(first, size + 1) // 2 * 2  # counted from 0
        places[image - start] = (first + margin(task.q)) * LANES
        for part in range(parts(task.q)):
            z = (number(first + 1 + part * rows(task.q)) * spacing - r) * per_spacing
            store(windows, ((image - start) * parts(task.q) + part) * WIDE, gaussians(z))


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
