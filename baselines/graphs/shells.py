"""The nearest k and all their ties, in both directions: ALIGNN, Matformer, PotNet, ComFormer.

This is the graph of the JARVIS tools (`nearest_neighbor_edges` and `build_undirected_edgedata`, K. Choudhary
and B. DeCost, npj Comput. Mater. 7, 185 (2021)). Atom i chooses all images of all atoms that are no farther
than its k-th nearest. Where too few lie within the published radius (8 Å or 4 Å) the published code
enlarges it, so that the radius has no effect on the result. Each chosen edge is then added with its reverse:

- canonised: a pair (i, j, n) that both ends chose counts once. An edge from an atom to its own image is not
  recognised as the reverse of the one to the opposite image: both are chosen, both are doubled.
- not canonised: what both ends chose is doubled, too. PotNet was published with this graph.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, Integer

from baselines.graphs.config_checks import check_whole_numbers
from baselines.graphs.nearest import nearest_pairs, ranks
from crystalformer.data.neighbors import TIE, NeighborList


@dataclass(frozen=True)
class NearestShells:
    """At least `neighbours` (k) edges per atom: the nearest, ties (to 1e-4 Å) included, and reverses."""

    name: ClassVar[str] = "shells"
    version: ClassVar[int] = 1

    neighbours: int
    canonize: bool = True

    def __post_init__(self) -> None:
        check_whole_numbers(self, neighbours=1)

    def edges(
        self,
        lattice: Float[np.ndarray, "3 3"],
        frac_coords: Float[np.ndarray, "atoms 3"],
        numbers: Integer[np.ndarray, " atoms"],
    ) -> NeighborList:
        """See `EdgeRule.edges`; those of an atom are sorted by (neighbour, image)."""
        chosen = _chosen(nearest_pairs(lattice, frac_coords, self.neighbours), self.neighbours, len(numbers))
        both = sorted_edges(*(np.concatenate(pair) for pair in zip(chosen, _reversed(chosen), strict=True)))
        if not self.canonize:
            return both
        new = np.concatenate([[True], _key_changes(both)])
        own_image = both.centers == both.neighbors
        kept = new | own_image
        return NeighborList(*(array[kept] for array in both))


def _chosen(edges: NeighborList, k: int, atoms: int) -> NeighborList:
    last = edges.distances[ranks(edges.centers, atoms) == k - 1]  # of each atom's k-th neighbour
    near = edges.distances <= last[edges.centers] + TIE
    return NeighborList(*(array[near] for array in edges))


def _reversed(edges: NeighborList) -> NeighborList:
    return NeighborList(edges.neighbors, edges.centers, -edges.images, edges.distances)


def sorted_edges(
    centers: Int[np.ndarray, " edges"],
    neighbors: Int[np.ndarray, " edges"],
    images: Int[np.ndarray, "edges 3"],
    distances: Float[np.ndarray, " edges"],
) -> NeighborList:
    """The edges in the order of (centre, neighbour, image)."""
    reach = int(np.abs(images).max(initial=0))
    n1, n2, n3 = (images + reach).T
    # Whole numbers that grow with the image and with the pair: sorted in half the time of the five columns.
    image = (n1 * (2 * reach + 1) + n2) * (2 * reach + 1) + n3
    order = np.lexsort((image, centers * (neighbors.max(initial=0) + 1) + neighbors))
    return NeighborList(centers[order], neighbors[order], images[order], distances[order])


def _key_changes(edges: NeighborList) -> np.ndarray:
    """Whether each edge but the first differs from the one before it."""
    return (
        (np.diff(edges.centers) != 0) | (np.diff(edges.neighbors) != 0) | np.diff(edges.images, axis=0).any(1)
    )
