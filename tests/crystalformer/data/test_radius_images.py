"""Images within a radius against pymatgen's search, and the stored lists and batches made of them."""

import numpy as np
import pytest

from crystalformer.data.neighbors import radius_neighbors
from crystalformer.data.radius_images import radius_images


def random_cell(rng, kind):
    lattice = 4 * np.eye(3) + rng.normal(size=(3, 3)) * 0.6
    frac_coords = rng.random((4, 3))
    if kind == "skewed":
        lattice = np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]]) @ lattice
    elif kind == "left-handed":
        lattice = lattice[[1, 0, 2]]
    elif kind == "needle":
        lattice = np.diag([0.4, 16.0, 1.0]) @ lattice
    elif kind == "unwrapped":
        frac_coords = frac_coords + rng.integers(-9, 10, size=(4, 3))
    elif kind == "coincident":
        frac_coords[1] = frac_coords[0]
    return lattice, frac_coords


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["plain", "skewed", "left-handed", "needle", "unwrapped", "coincident"])
def test_agrees_with_the_search_of_pymatgen(kind, seed):
    cells = [random_cell(np.random.default_rng(seed), kind), (4.0 * np.eye(3), np.zeros((1, 3)))]
    positions = np.concatenate([f @ lattice for lattice, f in cells])
    lattices, sizes = np.stack([lattice for lattice, _ in cells]), np.array([4, 1])
    images = radius_images(positions, lattices, sizes, 5.9, cells=True)
    ends = np.cumsum(images.counts)
    for first, (lattice, frac_coords) in zip((0, 4), cells, strict=True):
        rows = slice(ends[first] - images.counts[first], ends[first + len(frac_coords) - 1])
        query = np.repeat(np.arange(len(frac_coords)), images.counts[first : first + len(frac_coords)])
        edges = np.column_stack([query, images.keys[rows], images.cells[rows]]).tolist()
        assert edges == sorted(edges)
        known = radius_neighbors(lattice, frac_coords, 5.9)
        theirs = np.column_stack([known.centers, known.neighbors, known.images]).tolist()
        expected = {tuple(edge): r for edge, r in zip(theirs, known.distances, strict=True)}
        expected |= {(i, i, 0, 0, 0): 0.0 for i in range(len(frac_coords))}
        assert {tuple(edge) for edge in edges} == expected.keys()
        np.testing.assert_allclose(
            images.distances[rows], [expected[tuple(edge)] for edge in edges], rtol=0, atol=1e-11
        )


def test_an_atom_is_its_own_image_at_distance_0_exactly():
    images = radius_images(np.array([[0.1, 0.2, 0.3]]), np.eye(3)[None] * 30, np.array([1]), 7.0)
    assert images.keys.tolist() == [0]
    assert images.distances.tolist() == [0.0]


@pytest.mark.parametrize(
    ("lattice", "position", "radius", "message"),
    [
        (np.eye(3), [np.nan, 0, 0], 5.0, "crystal mp-7: expected finite positions and lattices"),
        (np.full((3, 3), np.inf), [0, 0, 0], 5.0, "crystal mp-7: expected finite positions and lattices"),
        (np.ones((3, 3)), [0, 0, 0], 5.0, "crystal mp-7: expected a cell with a volume"),
        (0.01 * np.eye(3), [0, 0, 0], 5.0, "crystal mp-7: expected a cell of which at most 2,000,000 fit"),
        (np.eye(3), [0, 0, 0], 0.0, r"radius: expected a length above 0 Å, got 0\.0"),
        (np.eye(3), [0, 0, 0], np.nan, "radius: expected a length above 0 Å, got nan"),
    ],
)
def test_bad_crystals_are_named(lattice, position, radius, message):
    lattices, positions = np.stack([np.eye(3), lattice]), np.array([[0, 0, 0], position])
    with pytest.raises(ValueError, match=message):
        radius_images(positions, lattices, np.array([1, 1]), radius, names=("mp-1", "mp-7"))
