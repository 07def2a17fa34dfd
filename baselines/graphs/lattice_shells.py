"""The graph of ComFormer: nearest shells, and edges from every atom to its own images along the lattice.

K. Yan, C. Fu, X. Qian, X. Qian and S. Ji, Complete and Efficient Graph Transformers for Crystal Material
Property Prediction, ICLR 2024, Sec. 3. A crystal is described relative to three vectors of its lattice that
do not depend on the cell that was chosen to write it, as long as the cell is primitive:

- l_1 is the shortest vector of the lattice, l_2 the shortest that is not parallel to it, l_3 the shortest
  outside of their plane.
- l_2 and l_3 take the sign that makes an angle of at most 90° with l_1.
- All three are negated if they are left-handed. So a crystal and its mirror image differ.

Among vectors of equal length (to 1e-4 Å), and at angles of 90° (to 1e-5 in the cosine), the choice is free:
lower images (n_1, n_2, n_3) come first, and no sign is changed. Then the result depends on how the cell is
written. The published code has the same ambiguity and decides it by the order of its search.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.shells import NearestShells
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.neighbors import NeighborList, radius_neighbors

MARGIN = 0.01  # Å, beyond the longest cell vector
RIGHT_ANGLE = 1e-5  # cosines up to this count as 0
STEP = 2.0**-23  # cosines are whole multiples of it: the spacing of float32 next to 1
CLOSEST = 1e-9  # Å; atoms at the same place have no direction to each other, all cosines are 0


@dataclass(frozen=True)
class LatticeShells:
    """`NearestShells` and, with their reverses, edges from each atom to its images at l_1, l_2 and l_3.

    A lattice vector that the shells contain is not added again. The first three edges of every atom are those
    to l_1, l_2 and l_3, in this order; then come the shells, then the reverses that were added.
    """

    name: ClassVar[str] = "lattice-shells"
    version: ClassVar[int] = 1

    neighbours: int

    def __post_init__(self) -> None:
        NearestShells(self.neighbours)

    def edges(
        self,
        lattice: Float[np.ndarray, "3 3"],
        frac_coords: Float[np.ndarray, "atoms 3"],
        numbers: Integer[np.ndarray, " atoms"],
    ) -> NeighborList:
        """See `EdgeRule.edges`."""
        shells = NearestShells(self.neighbours).edges(lattice, frac_coords, numbers)
        images = lattice_images(lattice)
        # Edge of the shells from each atom to its image at l_m, the first of two; -1 if there is none.
        in_shells = np.full((len(numbers), 3), -1)
        own = np.flatnonzero(shells.centers == shells.neighbors)[::-1]  # of several, the last one stays
        which, m = np.nonzero((shells.images[own][:, None] == images).all(axis=2))
        in_shells[shells.centers[own[which]], m] = own[which]
        place = np.full(len(shells.centers), 3)
        place[in_shells[in_shells >= 0]] = np.nonzero(in_shells >= 0)[1]

        atoms, m = np.nonzero(in_shells < 0)
        lengths = np.sqrt(((images @ lattice) ** 2).sum(axis=1))[m]
        added = (
            NeighborList(atoms, atoms, images[m], lengths),
            NeighborList(atoms, atoms, -images[m], lengths),
        )
        edges = [np.concatenate(arrays) for arrays in zip(shells, *added, strict=True)]
        order = np.argsort(5 * edges[0] + np.concatenate([place, m, np.full(len(m), 4)]), kind="stable")
        return NeighborList(*(array[order] for array in edges))


def lattice_images(lattice: Float[np.ndarray, "3 3"]) -> Int[np.ndarray, "3 3"]:
    """l_1, l_2, l_3, each a row, in units of the cell vectors; `lattice` has rows in Å.

    Raises:
        ValueError: a cell that is not finite or has no volume.
    """
    radius = math.sqrt((lattice**2).sum(axis=1).max()) + MARGIN
    found = radius_neighbors(lattice, np.zeros((1, 3)), radius).images
    normals = _cross(found[0], found)
    second = normals.any(axis=1).argmax()
    third = (found @ normals[second] != 0).argmax()
    images = found[[0, second, third]]
    vectors = images @ lattice
    products = vectors @ vectors.T
    lengths = np.sqrt(products.diagonal())
    images[products[0] < -RIGHT_ANGLE * lengths * lengths[0]] *= -1
    left_handed = np.linalg.det(images @ lattice) < 0
    return -images if left_handed else images


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a × b for (3,) and (..., 3); numpy.cross takes ten times as long for few vectors."""
    skew = np.array([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0]])
    return b @ skew.T


@dataclass(frozen=True)
class LatticeBatch(GraphBatch):
    """Crystals of one step with lattice vectors that do not depend on the cell.

    In addition to the fields of `GraphBatch`: `lattice_lengths`, |l_m| in Å, and `edge_cosines`, of the
    angles between l_m and the edge's vector p_j + n L - p_i.
    """

    lattice_lengths: Float[Tensor, "crystals 3"]
    edge_cosines: Float[Tensor, "edges 3"]


class LatticeBatches(GraphBatches):
    """Cuts batches with the edges of `LatticeShells`.

    Lengths and cosines are found in float64 and rounded once, cosines to whole multiples of 2^-23. Where the
    symmetry of a crystal makes them equal they are, as a rule, equal in all bits, and what depends on them
    alone needs to be computed only once.
    """

    def __init__(
        self,
        store: ArrayStore,
        scaled_targets: Float[np.ndarray, "crystals targets"],
        cache_folder: Path | None,
        neighbours: int,
        last_element: int,
    ) -> None:
        super().__init__(store, scaled_targets, cache_folder, LatticeShells(neighbours), last_element)

    def __call__(self, indices: Int[np.ndarray, " crystals"]) -> LatticeBatch:
        """The crystals with these store rows, in this order."""
        batch = super().__call__(indices)
        i, j = batch.edge_centers.numpy(), batch.edge_neighbors.numpy()
        images, crystal = batch.edge_images.numpy(), batch.crystal_of_atom.numpy()
        frac_coords = np.concatenate([self._frac_coords(row) for row in indices])
        lattices = self.store.lattices[indices]
        first_atoms = np.cumsum(batch.sizes.numpy()) - batch.sizes.numpy()
        first_edges = (np.cumsum(batch.edge_counts.numpy()) - batch.edge_counts.numpy())[first_atoms]
        vectors = images[first_edges[:, None] + np.arange(3)] @ lattices  # l_m, (crystals, 3, 3)
        lengths = np.linalg.norm(vectors, axis=2)
        # r · l_m = f L l_m, the last two of them per crystal
        products = lattices @ (vectors / lengths[:, :, None]).transpose(0, 2, 1)
        shifts = frac_coords[j] + images - frac_coords[i]
        of_edge = crystal[i]
        distances = np.linalg.norm(np.einsum("ei,eij->ej", shifts, lattices[of_edge]), axis=1, keepdims=True)
        cosines = np.einsum("ei,eim->em", shifts, products[of_edge]) / np.maximum(distances, CLOSEST)
        return LatticeBatch(
            **vars(batch),
            lattice_lengths=torch.from_numpy(lengths.astype(np.float32)),
            edge_cosines=torch.from_numpy((np.round(cosines / STEP) * STEP).clip(-1, 1).astype(np.float32)),
        )

    def _frac_coords(self, row: int) -> np.ndarray:
        return self.store.frac_coords[self.store.offsets[row] : self.store.offsets[row + 1]]
