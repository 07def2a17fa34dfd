"""The nearest shells and, of every atom, edges to its own images along the cell vectors: Matformer."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Integer

from baselines.graphs.config_checks import check_whole_numbers
from baselines.graphs.shells import NearestShells, sorted_edges
from crystalformer.data.neighbors import NeighborList

# l_1, l_2, l_3 and the sums of two, as images n; each counts with -n.
SELF_IMAGES = np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)])


@dataclass(frozen=True)
class ShellsAndLattice:
    """`NearestShells(neighbours)`, canonised, with edges of each atom to twelve images of itself.

    These are at ±l_1, ±l_2, ±l_3, ±(l_1 + l_2), ±(l_1 + l_3) and ±(l_2 + l_3) of the cell as stored: another
    basis of the same lattice gives other edges (K. Yan et al., NeurIPS 2022, "self-connecting edges"). Where
    an atom has its own image n among its nearest shells, that edge and the one to -n, which are doubled
    already, stay as they are, since the published code collects both kinds in one set.
    """

    name: ClassVar[str] = "shells_lattice"
    version: ClassVar[int] = 1

    neighbours: int

    def __post_init__(self) -> None:
        check_whole_numbers(self, neighbours=1)

    def edges(
        self,
        lattice: Float[np.ndarray, "3 3"],
        frac_coords: Float[np.ndarray, "atoms 3"],
        numbers: Integer[np.ndarray, " atoms"],
    ) -> NeighborList:
        """See `EdgeRule.edges`; those of an atom are sorted by (neighbour, image)."""
        shells = NearestShells(self.neighbours).edges(lattice, frac_coords, numbers)
        atoms, new = np.nonzero(~_present(shells, len(numbers)))
        images = SELF_IMAGES[new]
        lengths = np.linalg.norm(images @ lattice, axis=1)
        return sorted_edges(
            np.concatenate([shells.centers, atoms, atoms]),
            np.concatenate([shells.neighbors, atoms, atoms]),
            np.concatenate([shells.images, images, -images]),
            np.concatenate([shells.distances, lengths, lengths]),
        )


def _present(edges: NeighborList, atoms: int) -> np.ndarray:
    """Whether each atom has an edge to each of `SELF_IMAGES` of itself, (atoms, 6)."""
    own = np.flatnonzero(edges.centers == edges.neighbors)
    found = np.zeros((atoms, len(SELF_IMAGES)), dtype=bool)
    rows, columns = np.nonzero((edges.images[own, None] == SELF_IMAGES).all(axis=2))
    found[edges.centers[own[rows]], columns] = True
    return found
