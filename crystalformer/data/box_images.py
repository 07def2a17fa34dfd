"""The periodic images of all atoms of a crystal in a box of cells around each atom, but for those far behind
the nearest one.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Real

from crystalformer.data.image_search import Bounds, FoundImages, search, triangular


def box_images(
    positions: Real[np.ndarray, "atoms 3"],
    lattices: Real[np.ndarray, "crystals 3 3"],
    sizes: Int[np.ndarray, " crystals"],
    ranges: Int[np.ndarray, "crystals 3"],
    *,
    inner: int,
    excess: float,
    spacings: Float[np.ndarray, "crystals 3"] | None = None,
    free: int = 0,
    dtype: Any = np.float64,
    cells: bool = False,
) -> FoundImages:
    """The images with |n_d| <= R_d of some crystals; runs without Python's lock.

    Args:
        positions: Cartesian in Å, crystal after crystal; n counts from where the atoms are.
        lattices: in Å, rows are the cell vectors, which span a volume.
        sizes: atoms per crystal.
        ranges: R_d of each crystal.
        inner: the nearest image of a pair is looked for where |n_d| <= `inner`.
        excess: in Å^2; images whose squared distance exceeds that of the nearest by more are left out.
        spacings: in Å, of the lattice planes; given, each image has a reach, see `Bounds`.
        free: |n_d| up to which cells have no reach.
        dtype: of distances and reaches; they are computed in float64.
        cells: whether to list n.
    """
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    lattices = np.ascontiguousarray(lattices, dtype=np.float64)
    bounds = Bounds(ranges, excess, inner, spacings, free)
    return search(positions, sizes, triangular(lattices), bounds, dtype=dtype, cells=cells)
