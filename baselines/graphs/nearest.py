"""Exactly k nearest neighbours: CGCNN and GATGNN."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, Integer

from baselines.graphs.config_checks import check_lengths, check_whole_numbers
from crystalformer.data.neighbors import NeighborList, radius_neighbors

PADDING = 1.0  # Å beyond the radius
MARGIN = 0.1  # Å; no chain of ties (gaps below 1e-4 Å) reaches that far


@dataclass(frozen=True)
class KNearest:
    """The first `neighbours` (k) of each atom within `radius` (Å): k edges per atom, by the rule of CGCNN.

    An atom with fewer is padded with edges to atom 0 of the crystal at distance radius + 1 Å. At equal
    distance (to 1e-4 Å) lower atomic numbers come first, then the order of the atoms, then the image.
    """

    name: ClassVar[str] = "nearest"
    version: ClassVar[int] = 1

    neighbours: int
    radius: float

    def __post_init__(self) -> None:
        check_whole_numbers(self, neighbours=1)
        check_lengths(self, "radius")

    def edges(
        self,
        lattice: Float[np.ndarray, "3 3"],
        frac_coords: Float[np.ndarray, "atoms 3"],
        numbers: Integer[np.ndarray, " atoms"],
    ) -> NeighborList:
        """See `EdgeRule.edges`."""
        atoms, k = len(numbers), self.neighbours
        by_element = np.argsort(numbers, kind="stable")
        found = nearest_pairs(lattice, frac_coords[by_element], k, self.radius)
        near = ranks(found.centers, atoms) < k
        row, rank = by_element[found.centers[near]], ranks(found.centers, atoms)[near]
        neighbors = np.zeros((atoms, k), dtype=np.int64)
        images = np.zeros((atoms, k, 3), dtype=np.int64)
        distances = np.full((atoms, k), self.radius + PADDING)
        neighbors[row, rank] = by_element[found.neighbors[near]]
        images[row, rank] = found.images[near]
        distances[row, rank] = found.distances[near]
        centers = np.repeat(np.arange(atoms), k)
        return NeighborList(centers, neighbors.reshape(-1), images.reshape(-1, 3), distances.reshape(-1))


def ranks(centers: Int[np.ndarray, " edges"], atoms: int) -> Int[np.ndarray, " edges"]:
    """Position of each edge among those of its centre; `centers` is sorted."""
    counts = np.bincount(centers, minlength=atoms)
    return np.arange(len(centers)) - np.repeat(np.cumsum(counts) - counts, counts)


def nearest_pairs(
    lattice: Float[np.ndarray, "3 3"],
    frac_coords: Float[np.ndarray, "atoms 3"],
    neighbours: int,
    limit: float = np.inf,
) -> NeighborList:
    """Neighbours within the smallest tried radius that gives every atom its k nearest, ties included.

    At 8 Å an atom has some 150 neighbours; the first radius tried gives 2 k on average. The radius never
    exceeds `limit` (Å), within which an atom may have fewer than `neighbours`.
    """
    volume = abs(np.linalg.det(lattice)) / len(frac_coords)
    radius = MARGIN + (3 * volume * 2 * neighbours / (4 * np.pi)) ** (1 / 3)
    while radius < limit:
        edges = radius_neighbors(lattice, frac_coords, radius)
        sure = edges.centers[edges.distances < radius - MARGIN]
        if np.bincount(sure, minlength=len(frac_coords)).min() >= neighbours:
            return edges
        radius *= 1.2
    return radius_neighbors(lattice, frac_coords, limit)
