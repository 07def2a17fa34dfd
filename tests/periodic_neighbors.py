"""All neighbours within a radius by trying every image: for the oracles of models on radius graphs."""

from itertools import product
from typing import NamedTuple

import numpy as np

from crystalformer.data.crystal import Crystal

IMAGES = np.array(list(product(range(-4, 5), repeat=3)))  # enough for the cells of the tests


class Neighbor(NamedTuple):
    """One edge of an atom."""

    distance: float  # Å
    atom: int  # j, within the crystal
    vector: np.ndarray  # from the atom to the neighbour, in Å


def periodic_neighbors(crystal: Crystal, radius: float) -> list[list[Neighbor]]:
    """The neighbours of each atom, nearest first."""
    rows = []
    for i, p in enumerate(crystal.frac_coords):
        found = []
        for j, q in enumerate(crystal.frac_coords):
            vectors = (q - p + IMAGES) @ crystal.lattice
            for image, vector, distance in zip(IMAGES, vectors, np.linalg.norm(vectors, axis=1), strict=True):
                if distance <= radius and (i != j or image.any()):
                    found.append(Neighbor(float(distance), j, vector))
        rows.append(sorted(found, key=lambda neighbor: neighbor[:2]))
    return rows
