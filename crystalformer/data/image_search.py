"""Which periodic images of the atoms of a crystal are near, whichever rule says what near means.

In a frame in which the lattice is triangular,

    L = U Q,   U = (u11 u12 u13 | 0 u22 u23 | 0 0 u33),   Q orthogonal,

the offset of image n has the components y1 + n1 u11, y2 + n1 u12 + n2 u22 and y3 + n1 u13 + n2 u23 + n3 u33.
The first bounds n1, the second n2 for a given n1, the third n3: whatever the shape of the cell, only images
within the radius are visited (Fincke and Pohst, Math. Comp. 44 (1985) 463). Any handedness will do, and atoms
may lie outside of the cell. `radius_images` and `box_images` are the two rules.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float, Int, Real

from crystalformer.compiled import compiled


class FoundImages(NamedTuple):
    """Images, sorted by (i, j, n).

    | field | unit | meaning |
    |---|---|---|
    | `counts` | - | images of each atom i |
    | `keys` | - | atom j, counted within its crystal |
    | `distances` | Å | length of p_j + n L - p_i |
    | `cells` | cell vectors | n, or shape (0, 3) where not asked for |
    | `reaches` | Å | see `Bounds`, or shape (0,) where that has none |
    """

    counts: Int[np.ndarray, " atoms"]
    keys: Int[np.ndarray, " images"]
    distances: Float[np.ndarray, " images"]
    cells: Int[np.ndarray, "images 3"]
    reaches: Float[np.ndarray, " images"]


@dataclass(frozen=True)
class Bounds:
    """What is near: |n_d| <= R_d of each crystal, and a distance whose square is at most `square`.

    With `inner` that square is counted from the nearest image of the same pair (i, j) among those with
    |n_d| <= `inner`, without it from 0. With `spacings` (Å) of the lattice planes each image has a reach, the
    largest (|n_d| - 1) times spacing of the directions with |n_d| above `free`; 0 where there are none.
    """

    ranges: Int[np.ndarray, "crystals 3"]
    square: float  # Å^2
    inner: int | None = None
    spacings: Float[np.ndarray, "crystals 3"] | None = None
    free: int = 0


def search(
    positions: Float[np.ndarray, "atoms 3"],
    sizes: Int[np.ndarray, " crystals"],
    triangular: tuple[Float[np.ndarray, "crystals 3 3"], Float[np.ndarray, "crystals 3 3"]],
    bounds: Bounds,
    *,
    dtype: Any,
    cells: bool,
) -> FoundImages:
    """The images within some bounds; runs without Python's lock.

    Args:
        positions: Cartesian in Å, crystal after crystal.
        sizes: atoms per crystal.
        triangular: U and Q of the lattices, see `triangular`.
        bounds: what is near.
        dtype: of distances and reaches; they are computed in float64.
        cells: whether to list n.
    """
    upper, frames = triangular
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    points = np.einsum("nx,nyx->ny", positions, np.repeat(frames, sizes, axis=0))
    reach = bounds.spacings is not None
    spacings = np.zeros((len(upper), 3)) if bounds.spacings is None else bounds.spacings
    rule = (
        bounds.ranges.astype(np.float64),
        float(bounds.square),
        -1 if bounds.inner is None else bounds.inner,
        np.ascontiguousarray(spacings, dtype=np.float64),
        bounds.free,
    )
    offsets = np.zeros(len(points) + 1, dtype=np.int64)
    nothing = np.empty(0, np.int32), np.empty(0, dtype), np.empty((0, 3), np.int32), np.empty(0, dtype)
    _list(points, upper, starts, *rule, offsets, *nothing, False)
    counts = offsets[1:].copy()
    np.cumsum(offsets, out=offsets)
    images = int(offsets[-1])
    keys, distances = np.empty(images, np.int32), np.empty(images, dtype)
    listed = np.empty((images if cells else 0, 3), np.int32)
    reaches = np.empty(images if reach else 0, dtype)
    _list(points, upper, starts, *rule, offsets, keys, distances, listed, reaches, True)
    return FoundImages(counts, keys, distances, listed, reaches)


@compiled
@no_type_check  # its types are those of machine code
def _list(
    points: Any,
    upper: Any,
    starts: Any,
    ranges: Any,
    square: float,
    inner: int,
    spacings: Any,
    free: int,
    offsets: Any,
    keys: Any,
    distances: Any,
    cells: Any,
    reaches: Any,
    fill: bool,
) -> None:
    """Fills the arrays; without `fill`, only offsets[i + 1] with the number of images of atom i."""
    for c in range(len(starts) - 1):
        u, most = upper[c], ranges[c]
        for i in range(starts[c], starts[c + 1]):
            at = offsets[i] if fill else 0
            for j in range(starts[c], starts[c + 1]):
                y1, y2, y3 = (
                    points[j, 0] - points[i, 0],
                    points[j, 1] - points[i, 1],
                    points[j, 2] - points[i, 2],
                )
                bound = square if inner < 0 else square + _nearest(y1, y2, y3, u, most, inner)
                low1, high1 = _range(np.sqrt(bound), y1, u[0, 0], most[0])
                for n1 in range(low1, high1 + 1):
                    x1 = y1 + n1 * u[0, 0]
                    z2, z3 = y2 + n1 * u[0, 1], y3 + n1 * u[0, 2]
                    low2, high2 = _range(np.sqrt(max(bound - x1 * x1, 0.0)), z2, u[1, 1], most[1])
                    for n2 in range(low2, high2 + 1):
                        x2 = z2 + n2 * u[1, 1]
                        near = x1 * x1 + x2 * x2
                        w3 = z3 + n2 * u[1, 2]
                        low3, high3 = _range(np.sqrt(max(bound - near, 0.0)), w3, u[2, 2], most[2])
                        for n3 in range(low3, high3 + 1):
                            x3 = w3 + n3 * u[2, 2]
                            if near + x3 * x3 > bound:
                                continue
                            if fill:
                                keys[at] = j - starts[c]
                                distances[at] = np.sqrt(near + x3 * x3)
                                if len(cells):
                                    cells[at, 0], cells[at, 1], cells[at, 2] = n1, n2, n3
                                if len(reaches):
                                    reaches[at] = _reach(n1, n2, n3, spacings[c], free)
                            at += 1
            if not fill:
                offsets[i + 1] = at


@compiled
@no_type_check
def _range(radius: float, y: float, step: float, most: float) -> Any:
    """The first and the last n with |y + n step| <= radius and |n| <= most."""
    slack = 1e-9  # cells; what rounding may take from a range, whose images are checked one by one
    low = max(np.ceil((-radius - y) / step - slack), -most)
    high = min(np.floor((radius - y) / step + slack), most)
    return int(low), int(high)


@compiled
@no_type_check
def _nearest(y1: float, y2: float, y3: float, u: Any, most: Any, inner: int) -> float:
    """The squared distance of the nearest image with |n_d| <= inner and within the ranges."""
    most1, most2, most3 = int(min(most[0], inner)), int(min(most[1], inner)), int(min(most[2], inner))
    least = np.inf
    for n1 in range(-most1, most1 + 1):
        x1, z2, z3 = y1 + n1 * u[0, 0], y2 + n1 * u[0, 1], y3 + n1 * u[0, 2]
        if x1 * x1 >= least:
            continue
        for n2 in range(-most2, most2 + 1):
            x2, w3 = z2 + n2 * u[1, 1], z3 + n2 * u[1, 2]
            near = x1 * x1 + x2 * x2
            if near >= least:
                continue
            n3 = min(max(np.rint(-w3 / u[2, 2]), -most3), most3)  # the nearest of a row of images
            x3 = w3 + n3 * u[2, 2]
            least = min(least, near + x3 * x3)
    return least


@compiled
@no_type_check
def _reach(n1: int, n2: int, n3: int, spacings: Any, free: int) -> float:
    """See `Bounds`."""
    reach = 0.0
    if abs(n1) > free:
        reach = (abs(n1) - 1) * spacings[0]
    if abs(n2) > free:
        reach = max(reach, (abs(n2) - 1) * spacings[1])
    if abs(n3) > free:
        reach = max(reach, (abs(n3) - 1) * spacings[2])
    return reach


def triangular(
    lattices: Real[np.ndarray, "crystals 3 3"],
) -> tuple[Float[np.ndarray, "crystals 3 3"], Float[np.ndarray, "crystals 3 3"]]:
    """U with a positive diagonal and Q of each lattice."""
    # QR of the transposed lattice, with its columns and the result's rows in reverse order
    q, r = np.linalg.qr(lattices[:, ::-1].transpose(0, 2, 1))
    upper = r[:, ::-1, ::-1].transpose(0, 2, 1)
    frames = q[:, :, ::-1].transpose(0, 2, 1)
    signs = np.where(np.einsum("cdd->cd", upper) < 0, -1.0, 1.0)
    return np.ascontiguousarray(upper * signs[:, None, :]), frames * signs[:, :, None]
