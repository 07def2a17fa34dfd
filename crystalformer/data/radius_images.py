"""All periodic images of all atoms of a crystal within a radius of each atom, the atom itself included."""

from typing import Any

import numpy as np
from jaxtyping import Int, Real

from crystalformer.data.image_search import Bounds, FoundImages, search, triangular

MAX_CELLS = 2_000_000  # that a sphere may cover; more come from a lattice that is flat or in the wrong unit


def radius_images(
    positions: Real[np.ndarray, "atoms 3"],
    lattices: Real[np.ndarray, "crystals 3 3"],
    sizes: Int[np.ndarray, " crystals"],
    radius: float,
    *,
    dtype: Any = np.float64,
    cells: bool = False,
    names: Any = None,
) -> FoundImages:
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
    names = range(len(lattices)) if names is None else names
    if not 0 < radius < np.inf:
        raise ValueError(f"radius: expected a length above 0 Å, got {radius!r}")
    _check_finite(positions, lattices, sizes, names)
    lattice_frames = triangular(lattices)
    _check_cells(lattice_frames[0], lattices, radius, names)
    everywhere = np.full((len(lattices), 3), np.iinfo(np.int32).max)
    bounds = Bounds(everywhere, float(radius) ** 2)
    return search(positions, sizes, lattice_frames, bounds, dtype=dtype, cells=cells)


def _check_finite(positions: np.ndarray, lattices: np.ndarray, sizes: np.ndarray, names: Any) -> None:
    wrong = ~np.isfinite(lattices).all((1, 2))
    wrong[np.repeat(np.arange(len(sizes)), sizes)[~np.isfinite(positions).all(1)]] = True
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
