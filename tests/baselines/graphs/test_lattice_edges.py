"""Matformer's graph against the published procedure: one set per pair of atoms, then both directions."""

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest

from baselines.graphs.lattice_edges import ShellsAndLattice
from crystalformer.data.crystal import Crystal

ALONG_THE_CELL = [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
CUBE = Crystal("Po", 3.3 * np.eye(3), np.zeros((1, 3)), np.array([84]), {})
LAYERED = Crystal(
    "layered", np.diag([2.5, 2.5, 9]), np.array([[0, 0, 0], [0.3, 0.4, 0.45]]), np.array([6, 7]), {}
)


def by_definition(crystal: Crystal, k: int) -> Counter:
    """How often each (i, j, n) is an edge."""
    images = np.array(list(product(range(-4, 5), repeat=3)))
    sets: dict[tuple[int, int], set] = defaultdict(set)
    for i, p in enumerate(crystal.frac_coords):
        found = []
        for j, q in enumerate(crystal.frac_coords):
            for n, d in zip(images, np.linalg.norm((q - p + images) @ crystal.lattice, axis=1), strict=True):
                if i != j or n.any():
                    found.append((float(d), j, tuple(n.tolist())))
        found.sort()
        for d, j, n in found:
            if d <= found[k - 1][0] + 1e-6:
                sets[min(i, j), max(i, j)].add(n if i <= j else tuple(-x for x in n))
        sets[i, i] |= set(ALONG_THE_CELL)
    edges: Counter = Counter()
    for (i, j), ends in sets.items():
        for n in ends:
            edges[i, j, n] += 1
            edges[j, i, tuple(-x for x in n)] += 1
    return edges


@pytest.mark.parametrize("k", [2, 12])
def test_edges_are_those_of_the_published_procedure(random_crystals, k) -> None:
    for crystal in [CUBE, LAYERED, *random_crystals(4, seed=5)]:
        edges = ShellsAndLattice(k).edges(crystal.lattice, crystal.frac_coords, crystal.numbers)
        images = [tuple(n) for n in edges.images.tolist()]
        found = list(zip(edges.centers.tolist(), edges.neighbors.tolist(), images, strict=True))
        assert Counter(found) == by_definition(crystal, k)
        assert found == sorted(found)
        vectors = crystal.frac_coords[edges.neighbors] + edges.images - crystal.frac_coords[edges.centers]
        np.testing.assert_allclose(np.linalg.norm(vectors @ crystal.lattice, axis=1), edges.distances)


def test_every_atom_has_its_twelve_own_images(random_crystals) -> None:
    for crystal in random_crystals(3, seed=1, smallest=4):
        edges = ShellsAndLattice(1).edges(crystal.lattice, crystal.frac_coords, crystal.numbers)
        own = edges.centers == edges.neighbors
        assert np.bincount(edges.centers[own]).tolist() == [12] * len(crystal.numbers)


def test_a_cell_that_is_far_from_its_images_keeps_its_lattice_edges() -> None:
    sparse = Crystal("sparse", 20 * np.eye(3), np.zeros((1, 3)), np.array([2]), {})
    edges = ShellsAndLattice(12).edges(sparse.lattice, sparse.frac_coords, sparse.numbers)
    # 6 images at 20 Å and 12 at 28 Å, each once from either end; 6 of these 18 are lattice edges already
    assert Counter(np.round(edges.distances, 2).tolist()) == {20.0: 12, 28.28: 24}


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="neighbours: expected a whole number of at least 1, got 0"):
        ShellsAndLattice(0)
