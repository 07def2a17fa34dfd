"""The graph of the JARVIS tools, against pairs listed one by one from all images of a block of cells."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from baselines.graphs.shells import NearestShells
from crystalformer.data.crystal import Crystal

CUBE = Crystal("Po", 3.3 * np.eye(3), np.zeros((1, 3)), np.array([84]), {})


def by_definition(crystal: Crystal, k: int, canonize: bool) -> Counter:
    """How often each (i, j, n) is an edge."""
    images = np.array(list(product(range(-5, 6), repeat=3)))
    chosen = []
    for i, p in enumerate(crystal.frac_coords):
        found = []
        for j, q in enumerate(crystal.frac_coords):
            for n, d in zip(images, np.linalg.norm((q - p + images) @ crystal.lattice, axis=1), strict=True):
                if i != j or n.any():
                    found.append((float(d), i, j, tuple(n.tolist())))
        found.sort()
        chosen += [edge[1:] for edge in found if edge[0] <= found[k - 1][0] + 1e-6]
    if canonize:  # the lower atom first, in the cell itself
        chosen = list({(i, j, n) if i <= j else (j, i, tuple(-x for x in n)) for i, j, n in chosen})
    edges: Counter = Counter()
    for i, j, n in chosen:
        edges[i, j, n] += 1
        edges[j, i, tuple(-x for x in n)] += 1
    return edges


@pytest.mark.parametrize("canonize", [True, False])
@pytest.mark.parametrize("k", [1, 5, 12])
def test_edges_are_those_of_the_definition(random_crystals, k, canonize) -> None:
    for crystal in [CUBE, *random_crystals(4, seed=5)]:
        edges = NearestShells(k, canonize).edges(crystal.lattice, crystal.frac_coords, crystal.numbers)
        keys = zip(
            edges.centers.tolist(), edges.neighbors.tolist(), map(tuple, edges.images.tolist()), strict=True
        )
        assert Counter(keys) == by_definition(crystal, k, canonize)
        assert (np.diff(edges.centers) >= 0).all()
        vectors = crystal.frac_coords[edges.neighbors] + edges.images - crystal.frac_coords[edges.centers]
        np.testing.assert_allclose(np.linalg.norm(vectors @ crystal.lattice, axis=1), edges.distances)


def test_ties_are_kept_and_own_images_doubled() -> None:
    # 6 images at 3.3 Å, 12 at 4.67 Å: the 12th neighbour lies in the second shell, which is taken whole.
    edges = NearestShells(12).edges(CUBE.lattice, CUBE.frac_coords, CUBE.numbers)
    assert len(edges.centers) == 2 * (6 + 12)


def test_edges_reach_as_far_as_it_takes() -> None:
    sparse = Crystal("sparse", 30 * np.eye(3), np.zeros((1, 3)), np.array([2]), {})
    edges = NearestShells(4).edges(sparse.lattice, sparse.frac_coords, sparse.numbers)
    np.testing.assert_allclose(edges.distances, 30.0)
