"""The graph of ComFormer: lattice vectors that do not depend on the cell, and edges along them."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from baselines.graphs.lattice_shells import LatticeBatches, LatticeShells, lattice_images
from baselines.graphs.shells import NearestShells
from crystalformer.data.crystal import Crystal

BLOCK = np.array([n for n in product(range(-6, 7), repeat=3) if any(n)])
CUBE = Crystal("Po", 3.3 * np.eye(3), np.zeros((1, 3)), np.array([84]), {})


def unimodular(rng: np.random.Generator) -> np.ndarray:
    """A random change of basis, of determinant 1 or -1."""
    change = np.eye(3, dtype=int)[rng.permutation(3)]
    for _ in range(3):
        a, b = rng.permutation(3)[:2]
        change[a] += rng.choice([-1, 1]) * change[b]
    return change


def random_lattices(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [np.diag(rng.uniform(2, 6, 3)) + rng.uniform(-1.2, 1.2, (3, 3)) for _ in range(count)]


def test_lattice_vectors_are_those_of_the_definition() -> None:
    for lattice in random_lattices(30):
        vectors = lattice_images(lattice) @ lattice
        found = BLOCK @ lattice
        found = found[np.argsort(np.linalg.norm(found, axis=1))]
        l1 = found[0]
        l2 = next(v for v in found if np.linalg.norm(np.cross(l1, v)) > 1e-6)
        l3 = next(v for v in found if abs(np.cross(l1, l2) @ v) > 1e-6)
        for vector, expected in zip(vectors, (l1, l2, l3), strict=True):  # up to the sign
            np.testing.assert_allclose(np.outer(vector, vector), np.outer(expected, expected), atol=1e-9)
        assert vectors[1] @ vectors[0] > 0
        assert vectors[2] @ vectors[0] > 0
        assert np.linalg.det(vectors) > 0


def test_lattice_vectors_do_not_depend_on_the_basis_and_turn_with_the_crystal() -> None:
    rng = np.random.default_rng(2)
    for lattice in random_lattices(20):
        vectors = lattice_images(lattice) @ lattice
        other = unimodular(rng) @ lattice
        np.testing.assert_allclose(lattice_images(other) @ other, vectors, atol=1e-9)
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        turn *= np.linalg.det(turn)
        np.testing.assert_allclose(lattice_images(lattice @ turn) @ lattice @ turn, vectors @ turn, atol=1e-9)


def test_a_mirror_image_keeps_right_handed_vectors() -> None:
    [lattice] = random_lattices(1)
    vectors = lattice_images(lattice) @ lattice
    np.testing.assert_allclose(lattice_images(-lattice) @ -lattice, vectors, atol=1e-9)


def test_ties_are_decided_by_the_images() -> None:
    assert lattice_images(CUBE.lattice).tolist() == np.eye(3).tolist()
    # Rounding, as a rotation brings it, decides nothing.
    rng = np.random.default_rng(3)
    for _ in range(10):
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        turn *= np.linalg.det(turn)
        hexagonal = np.array([[3.0, 0, 0], [-1.5, 1.5 * 3**0.5, 0], [0, 0, 3.0]])
        assert np.array_equal(lattice_images(hexagonal @ turn), lattice_images(hexagonal))


@pytest.mark.parametrize("k", [1, 12, 25])
def test_edges_are_the_shells_and_both_directions_of_the_lattice_vectors(random_crystals, k) -> None:
    long = Crystal("long", np.diag([2.5, 9.0, 12.0]), np.array([[0.0] * 3, [0.4] * 3]), np.array([3, 9]), {})
    for crystal in [CUBE, long, *random_crystals(4, seed=5)]:
        setting = crystal.lattice, crystal.frac_coords, crystal.numbers
        edges, shells = LatticeShells(k).edges(*setting), NearestShells(k).edges(*setting)
        images = lattice_images(crystal.lattice)

        def keys(edges) -> Counter:
            return Counter(
                zip(
                    edges.centers.tolist(),
                    edges.neighbors.tolist(),
                    map(tuple, edges.images.tolist()),
                    strict=True,
                )
            )

        expected = keys(shells)
        for atom, image, sign in product(range(len(crystal)), images, (1, -1)):
            expected.setdefault((atom, atom, tuple((sign * image).tolist())), 1)
        assert keys(edges) == expected
        assert (np.diff(edges.centers) >= 0).all()
        first = np.searchsorted(edges.centers, np.arange(len(crystal)))
        for m in range(3):
            assert (edges.images[first + m] == images[m]).all()
            assert (edges.neighbors[first + m] == np.arange(len(crystal))).all()
        vectors = crystal.frac_coords[edges.neighbors] + edges.images - crystal.frac_coords[edges.centers]
        np.testing.assert_allclose(np.linalg.norm(vectors @ crystal.lattice, axis=1), edges.distances)


def test_batches_know_lengths_and_angles(store_of, random_crystals, tmp_path) -> None:
    crystals = [*random_crystals(3, seed=7), CUBE]
    batch = LatticeBatches(store_of(crystals), np.zeros((4, 1)), tmp_path, 25, 100)(np.array([2, 3, 0]))
    vectors, cosines = batch.edge_vectors().double().numpy(), batch.edge_cosines.numpy()
    for place, crystal in enumerate((crystals[2], CUBE, crystals[0])):
        lattice = lattice_images(crystal.lattice) @ crystal.lattice
        np.testing.assert_allclose(batch.lattice_lengths[place], np.linalg.norm(lattice, axis=1), rtol=1e-6)
        edges = (batch.crystal_of_atom[batch.edge_centers] == place).numpy()
        for m in range(3):
            expected = vectors[edges] @ lattice[m] / np.linalg.norm(vectors[edges], axis=1)
            expected /= np.linalg.norm(lattice[m])
            np.testing.assert_allclose(cosines[edges, m], expected, atol=1e-5)


def test_what_symmetry_makes_equal_is_equal_in_all_bits(store_of, tmp_path) -> None:
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    salt = Crystal(
        "salt",
        2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) @ turn,
        np.array([[0.1, 0.2, 0.3], [0.6, 0.7, 0.8]]),
        np.array([11, 17]),
        {},
    )
    batch = LatticeBatches(store_of([salt]), np.zeros((1, 1)), tmp_path, 25, 100)(np.array([0]))
    assert len(batch.edge_cosines.unique()) < 20
    assert set(batch.edge_cosines[:3].diagonal().tolist()) == {1.0}  # of l_m with itself


def test_atoms_at_the_same_place_have_no_direction(store_of, tmp_path) -> None:
    double = Crystal("double", 4 * np.eye(3), np.zeros((2, 3)), np.array([3, 9]), {})
    batch = LatticeBatches(store_of([double]), np.zeros((1, 1)), tmp_path, 25, 100)(np.array([0]))
    together = batch.edge_distances == 0
    assert together.sum() == 2
    assert not batch.edge_cosines[together].any()


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="neighbours: expected a whole number of at least 1, got 0"):
        LatticeShells(0)
