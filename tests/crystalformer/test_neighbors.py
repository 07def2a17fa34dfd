"""Neighbour lists against a brute-force sum over images, and against shells known from crystallography."""

import os
import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from crystalformer.data.neighbors import radius_neighbors


def brute_force(lattice: np.ndarray, frac_coords: np.ndarray, radius: float) -> dict[tuple[int, ...], float]:
    """{(i, j, n1, n2, n3): distance} from all images that can reach into the sphere."""
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    reach = np.ceil(np.ptp(frac_coords, axis=0) + radius / heights).astype(int)
    images = np.array(list(product(*(range(-m, m + 1) for m in reach))))
    found = {}
    for i, j in product(range(len(frac_coords)), repeat=2):
        distances = np.linalg.norm((frac_coords[j] - frac_coords[i] + images) @ lattice, axis=1)
        for n, distance in zip(images, distances, strict=True):
            if distance <= radius and (i != j or n.any()):
                found[(i, j, *n.tolist())] = distance
    return found


def random_cell(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    lattice = 4 * np.eye(3) + rng.normal(size=(3, 3)) * 0.6
    frac_coords = rng.random((3, 3))
    if kind == "skewed":
        lattice = np.array([[1, 0, 0], [2, 1, 0], [-1, 2, 1]]) @ lattice
    elif kind == "left-handed":
        lattice = lattice[[1, 0, 2]]
    elif kind == "tiny":
        lattice = lattice * 0.45
        frac_coords = frac_coords[:2]
    elif kind == "one atom":
        frac_coords = frac_coords[:1]
    elif kind == "unwrapped":
        frac_coords = frac_coords + rng.integers(-3, 4, size=(3, 3))
    return lattice, frac_coords


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["plain", "skewed", "left-handed", "tiny", "one atom", "unwrapped"])
def test_agrees_with_brute_force(kind: str, seed: int) -> None:
    lattice, frac_coords = random_cell(np.random.default_rng(seed), kind)
    assert (np.linalg.det(lattice) < 0) == (kind == "left-handed")
    expected = brute_force(lattice, frac_coords, 4.5)

    centers, neighbors, images, distances = radius_neighbors(lattice, frac_coords, 4.5)

    edges = list(map(tuple, np.column_stack([centers, neighbors, images]).tolist()))
    assert len(edges) == len(expected) > 0
    assert set(edges) == set(expected)
    np.testing.assert_allclose(distances, [expected[edge] for edge in edges], rtol=0, atol=1e-10)


def test_every_edge_has_its_reverse() -> None:
    lattice, frac_coords = random_cell(np.random.default_rng(5), "skewed")
    centers, neighbors, images, _ = radius_neighbors(lattice, frac_coords, 5.0)
    edges = set(map(tuple, np.column_stack([centers, neighbors, images]).tolist()))
    assert edges == set(map(tuple, np.column_stack([neighbors, centers, -images]).tolist()))


def test_order_is_centre_distance_neighbour_image() -> None:
    lattice, frac_coords = random_cell(np.random.default_rng(1), "plain")
    result = radius_neighbors(lattice, frac_coords, 6.0)
    assert (np.diff(result.centers) >= 0).all()
    same_center = np.diff(result.centers) == 0
    steps = np.diff(result.distances)[same_center]
    assert (steps > -1e-9).all()  # the images ±n of an atom differ by rounding

    cubic = radius_neighbors(4 * np.eye(3), np.zeros((1, 3)), 4.1)
    expected = [[-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert cubic.images.tolist() == expected


def test_face_centred_cubic_shells() -> None:
    lattice = 2.0 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])  # a = 4 Å
    distances = radius_neighbors(lattice, np.zeros((1, 3)), 5.7).distances
    shells, counts = np.unique(np.round(distances, 6), return_counts=True)
    np.testing.assert_allclose(shells**2, [8, 16, 24, 32], rtol=1e-5)
    assert counts.tolist() == [12, 6, 24, 12]


def test_ties_keep_their_order_when_the_crystal_is_rotated() -> None:
    rng = np.random.default_rng(0)
    lattice = 4.1 * np.eye(3)  # cubic perovskite: many neighbours at equal distances
    frac_coords = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    expected = radius_neighbors(lattice, frac_coords, 6.0)
    for _ in range(5):
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        result = radius_neighbors(lattice @ rotation, frac_coords + rng.random(3), 6.0)
        np.testing.assert_array_equal(result.neighbors, expected.neighbors)
        np.testing.assert_array_equal(result.images, expected.images)


def test_radius_is_inclusive_and_only_the_atom_itself_is_left_out() -> None:
    cell = 4 * np.eye(3)
    assert len(radius_neighbors(cell, np.zeros((1, 3)), 3.9).distances) == 0
    assert len(radius_neighbors(cell, np.zeros((1, 3)), 4.0).distances) == 6
    twins = radius_neighbors(cell, np.zeros((2, 3)), 1.0)
    assert np.column_stack([twins.centers, twins.neighbors, twins.distances]).tolist() == [
        [0, 1, 0],
        [1, 0, 0],
    ]


@pytest.mark.parametrize(
    ("lattice", "frac_coords", "radius", "message"),
    [
        (np.eye(2), np.zeros((1, 3)), 5.0, r"lattice: expected shape \(3, 3\), got \(2, 2\)"),
        (np.eye(3), np.zeros((0, 3)), 5.0, r"frac_coords: .* at least one atom, got \(0, 3\)"),
        (np.eye(3), np.full((1, 3), np.nan), 5.0, "expected finite values"),
        (np.ones((3, 3)), np.zeros((1, 3)), 5.0, "lattice: expected a cell with a volume"),
        (np.eye(3), np.zeros((1, 3)), -1.0, r"radius: expected a length above 0 Å, got -1\.0"),
        (np.eye(3), np.zeros((1, 3)), np.nan, "radius: expected a length above 0 Å, got nan"),
    ],
)
def test_bad_arguments_are_named(lattice, frac_coords, radius, message) -> None:
    with pytest.raises(ValueError, match=message):
        radius_neighbors(lattice, frac_coords, radius)


def test_importing_the_module_does_not_import_pymatgen() -> None:
    code = "import sys, crystalformer.data.neighbors; sys.exit('pymatgen' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": os.pathsep.join(sys.path)})
    assert result.returncode == 0
