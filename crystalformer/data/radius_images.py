"""All periodic images of all atoms of a crystal within a radius of each atom, the atom itself included.

In a frame in which the lattice is triangular,

    L = U Q,   U = (u11 u12 u13 | 0 u22 u23 | 0 0 u33),   Q orthogonal,

the offset of image n has the components y1 + n1 u11, y2 + n1 u12 + n2 u22 and y3 + n1 u13 + n2 u23 + n3 u33.
The first bounds n1, the second n2 for a given n1, the third n3: whatever the shape of the cell, only images
within the radius are visited (Fincke and Pohst, Math. Comp. 44 (1985) 463). Any handedness will do, and atoms
may lie outside of the cell.
"""

from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float, Int, Real

from crystalformer.compiled import compiled

MAX_CELLS = 2_000_000  # that a sphere may cover; more come from a lattice that is flat or in the wrong unit


class RadiusImages(NamedTuple):
    """Images within a radius, sorted by (i, j, n).

    | field | unit | meaning |
    |---|---|---|
    | `counts` | - | images of each atom i |
    | `keys` | - | atom j, counted within its crystal |
    | `distances` | Å | length of p_j + n L - p_i |
    | `cells` | cell vectors | n, or shape (0, 3) where not asked for |
    """

    counts: Int[np.ndarray, " atoms"]
    keys: Int[np.ndarray, " images"]
    distances: Float[np.ndarray, " images"]
    cells: Int[np.ndarray, "images 3"]


def radius_images(
    positions: Real[np.ndarray, "atoms 3"],
    lattices: Real[np.ndarray, "crystals 3 3"],
    sizes: Int[np.ndarray, " crystals"],
    radius: float,
    *,
    dtype: Any = np.float64,
    cells: bool = False,
    names: Any = None,
) -> RadiusImages:
    """The images of some crystals; runs without Python's lock.

    Args:
        positions: Cartesian in Å, crystal after crystal.
        lattices: in Å, rows are the cell vectors.
        sizes: atoms per crystal.
        radius: in Å, inclusive.
        dtype: of the distances; they are computed in float64.
        cells: whether to list n.
        names: of the crystals, for messages; by default their numbers.

    Raises:
        ValueError: a value is not finite, a cell is flat or too small for the radius, or the radius is not
            positive.
    """
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    lattices = np.ascontiguousarray(lattices, dtype=np.float64)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    names = range(len(lattices)) if names is None else names
    if not 0 < radius < np.inf:
        raise ValueError(f"radius: expected a length above 0 Å, got {radius!r}")
    _check_finite(positions, lattices, starts, names)
    upper, frames = _triangular(lattices)
    _check_cells(upper, lattices, radius, names)
    points = np.einsum("nx,nyx->ny", positions, np.repeat(frames, sizes, axis=0))
    offsets = np.zeros(len(points) + 1, dtype=np.int64)
    none = np.empty(0, np.int32), np.empty(0, dtype), np.empty((0, 3), np.int32)
    _list(points, upper, starts, float(radius), offsets, *none, False)
    counts = offsets[1:].copy()
    np.cumsum(offsets, out=offsets)
    images = int(offsets[-1])
    keys, distances = np.empty(images, np.int32), np.empty(images, dtype)
    listed = np.empty((images if cells else 0, 3), np.int32)
    _list(points, upper, starts, float(radius), offsets, keys, distances, listed, True)
    return RadiusImages(counts, keys, distances, listed)


@compiled
@no_type_check  # its types are those of machine code
def _list(
    points: Any,
    upper: Any,
    starts: Any,
    radius: float,
    offsets: Any,
    keys: Any,
    distances: Any,
    cells: Any,
    fill: bool,
) -> None:
    """Fills the arrays; without `fill`, only offsets[i + 1] with the number of images of atom i."""
    bound = radius * radius
    slack = 1e-9  # cells; what rounding may take from a range, whose images are checked one by one
    for c in range(len(starts) - 1):
        u = upper[c]
        for i in range(starts[c], starts[c + 1]):
            at = offsets[i] if fill else 0
            for j in range(starts[c], starts[c + 1]):
                y1, y2, y3 = (
                    points[j, 0] - points[i, 0],
                    points[j, 1] - points[i, 1],
                    points[j, 2] - points[i, 2],
                )
                low1 = int(np.ceil((-radius - y1) / u[0, 0] - slack))
                high1 = int(np.floor((radius - y1) / u[0, 0] + slack))
                for n1 in range(low1, high1 + 1):
                    x1 = y1 + n1 * u[0, 0]
                    root = np.sqrt(max(bound - x1 * x1, 0.0))
                    z2, z3 = y2 + n1 * u[0, 1], y3 + n1 * u[0, 2]
                    low2 = int(np.ceil((-root - z2) / u[1, 1] - slack))
                    high2 = int(np.floor((root - z2) / u[1, 1] + slack))
                    for n2 in range(low2, high2 + 1):
                        x2 = z2 + n2 * u[1, 1]
                        near = x1 * x1 + x2 * x2
                        root = np.sqrt(max(bound - near, 0.0))
                        w3 = z3 + n2 * u[1, 2]
                        low3 = int(np.ceil((-root - w3) / u[2, 2] - slack))
                        high3 = int(np.floor((root - w3) / u[2, 2] + slack))
                        for n3 in range(low3, high3 + 1):
                            x3 = w3 + n3 * u[2, 2]
                            square = near + x3 * x3
                            if square > bound:
                                continue
                            if fill:
                                keys[at] = j - starts[c]
                                distances[at] = np.sqrt(square)
                                if len(cells):
                                    cells[at, 0], cells[at, 1], cells[at, 2] = n1, n2, n3
                            at += 1
            if not fill:
                offsets[i + 1] = at


def _triangular(lattices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """U with a positive diagonal and Q of each lattice, both (crystals, 3, 3)."""
    # QR of the transposed lattice, with its columns and the result's rows in reverse order
    q, r = np.linalg.qr(lattices[:, ::-1].transpose(0, 2, 1))
    upper = r[:, ::-1, ::-1].transpose(0, 2, 1)
    frames = q[:, :, ::-1].transpose(0, 2, 1)
    signs = np.where(np.einsum("cdd->cd", upper) < 0, -1.0, 1.0)
    return np.ascontiguousarray(upper * signs[:, None, :]), frames * signs[:, :, None]


def _check_finite(positions: np.ndarray, lattices: np.ndarray, starts: np.ndarray, names: Any) -> None:
    wrong = ~np.isfinite(lattices).all((1, 2))
    rows = np.searchsorted(starts, np.flatnonzero(~np.isfinite(positions).all(1)), side="right") - 1
    wrong[rows] = True
    if wrong.any():
        name = names[int(wrong.argmax())]
        raise ValueError(f"crystal {name}: expected finite positions and lattices, got NaN or infinity")


def _check_cells(upper: np.ndarray, lattices: np.ndarray, radius: float, names: Any) -> None:
    edges = np.linalg.norm(lattices, axis=2).max(1)
    heights = np.einsum("cdd->cd", upper)
    with np.errstate(divide="ignore"):
        cells = (2 * radius / heights + 1).prod(1)
    flat = ~(heights.min(1) > 1e-12 * edges)
    if flat.any():
        crystal = int(flat.argmax())
        raise ValueError(
            f"crystal {names[crystal]}: expected a cell with a volume, got {lattices[crystal].tolist()}"
        )
    if (cells > MAX_CELLS).any():
        crystal = int(cells.argmax())
        raise ValueError(
            f"crystal {names[crystal]}: expected a cell of which at most {MAX_CELLS:,} fit into a sphere of "
            f"{radius:g} Å, got {lattices[crystal].tolist()} Å ({cells[crystal]:.1e} cells)"
        )
