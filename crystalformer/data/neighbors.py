"""Periodic neighbours of every atom of a crystal.

Neighbour j of atom i in the image n is at p_j + n L - p_i, with the rows of L the cell vectors. The search
is that of pymatgen, which takes any cell (skewed, left-handed, smaller than the radius) and atoms outside
of it. It is imported at the first call only, since training reads stored graphs and does without it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

# Å; distances with a smaller gap count as equal, be it from rounding in a rotation or from a CIF's digits.
TIE = 1e-4


class NeighborList(NamedTuple):
    """Directed pairs (edges) of atoms; every pair is listed from both of its ends.

    | field | unit | meaning |
    |---|---|---|
    | `centers` | - | atom i |
    | `neighbors` | - | atom j |
    | `images` | cell vectors | n, relative to the positions as stored |
    | `distances` | Å | length of p_j + n L - p_i |
    """

    centers: Int[np.ndarray, " edges"]
    neighbors: Int[np.ndarray, " edges"]
    images: Int[np.ndarray, "edges 3"]
    distances: Float[np.ndarray, " edges"]


def radius_neighbors(
    lattice: Real[np.ndarray, "..."], frac_coords: Real[np.ndarray, "..."], radius: float
) -> NeighborList:
    """All neighbours within `radius` (Å, inclusive), without the atom itself in the image (0, 0, 0).

    `lattice` has the cell vectors as rows, shape (3, 3), in Å; `frac_coords` has shape (atoms, 3) and need
    not be wrapped into the cell. Two atoms at the same place are neighbours at distance 0.

    The order is that of (centre, distance, neighbour, image). Distances are compared in shells, a new one
    starting at a gap of more than `TIE`: equal distances come in the same order on every machine.

    Raises:
        ValueError: wrong shapes, values that are not finite, a flat cell, or a radius that is not positive.
    """
    lattice = np.ascontiguousarray(lattice, dtype=np.float64)
    frac_coords = np.asarray(frac_coords, dtype=np.float64)
    _check(lattice, frac_coords, radius)
    from pymatgen.optimization.neighbors import find_points_in_spheres

    positions = np.ascontiguousarray(frac_coords @ lattice)
    periodic = np.ones(3, dtype=np.int64)
    centers, neighbors, shifts, distances = find_points_in_spheres(
        positions, positions, r=float(radius), pbc=periodic, lattice=lattice
    )
    centers, neighbors = centers.astype(np.int64), neighbors.astype(np.int64)  # from C's long long
    images = shifts.astype(np.int64)  # whole numbers, held as float64
    other = (centers != neighbors) | images.any(axis=1)
    order = _order(centers[other], neighbors[other], images[other], distances[other])
    kept = np.flatnonzero(other)[order]
    return NeighborList(centers[kept], neighbors[kept], images[kept], distances[kept])


def _order(
    centers: np.ndarray, neighbors: np.ndarray, images: np.ndarray, distances: np.ndarray
) -> np.ndarray:
    """The permutation that sorts the edges as `radius_neighbors` promises."""
    if not len(centers):
        return np.empty(0, dtype=np.int64)
    by_distance = np.lexsort((distances, centers))
    new_shell = np.diff(distances[by_distance]) > TIE
    new_shell |= np.diff(centers[by_distance]) != 0
    shells = np.empty_like(centers)
    shells[by_distance] = np.concatenate([[0], np.cumsum(new_shell)])
    reach = int(np.abs(images).max())
    base = 2 * reach + 1
    n1, n2, n3 = (images + reach).T
    # One whole number that grows with (neighbour, n1, n2, n3): half the time of sorting by the four of them.
    return np.lexsort((((neighbors * base + n1) * base + n2) * base + n3, shells))


def _check(lattice: np.ndarray, frac_coords: np.ndarray, radius: float) -> None:
    if lattice.shape != (3, 3):
        raise ValueError(f"lattice: expected shape (3, 3), got {lattice.shape}")
    if frac_coords.ndim != 2 or frac_coords.shape[1] != 3 or not len(frac_coords):
        raise ValueError(
            f"frac_coords: expected shape (atoms, 3) with at least one atom, got {frac_coords.shape}"
        )
    if not (np.isfinite(lattice).all() and np.isfinite(frac_coords).all()):
        raise ValueError("lattice and frac_coords: expected finite values, got NaN or infinity")
    if not abs(np.linalg.det(lattice)) > 0:
        raise ValueError(f"lattice: expected a cell with a volume, got {lattice.tolist()}")
    if not 0 < radius < np.inf:
        raise ValueError(f"radius: expected a length above 0 Å, got {radius!r}")
