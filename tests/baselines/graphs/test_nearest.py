"""The rule of CGCNN: the k nearest of every atom, padded where there are fewer."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from baselines.graphs import nearest
from baselines.graphs.nearest import KNearest
from crystalformer.data.crystal import Crystal

CGCNN = KNearest(12, 8.0)


def graph_of(crystal: Crystal, rule: KNearest = CGCNN) -> SimpleNamespace:
    """The edges with a row per atom: (atoms, k), images (atoms, k, 3)."""
    edges = rule.edges(crystal.lattice, crystal.frac_coords, crystal.numbers)
    atoms, k = len(crystal.numbers), rule.neighbours
    assert edges.centers.tolist() == np.repeat(np.arange(atoms), k).tolist()
    return SimpleNamespace(
        neighbors=edges.neighbors.reshape(atoms, k),
        images=edges.images.reshape(atoms, k, 3),
        distances=edges.distances.reshape(atoms, k),
    )


def nearest_by_brute_force(crystal: Crystal, k: int, radius: float) -> list[list[tuple[float, int]]]:
    """(distance, neighbour) of the k nearest of each atom, from all images that can be within the radius."""
    heights = 1 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    reach = np.ceil(1 + radius / heights).astype(int)
    images = np.array(list(product(*(range(-m, m + 1) for m in reach))))
    rows = []
    for i, p in enumerate(crystal.frac_coords):
        found = []
        for j, q in enumerate(crystal.frac_coords):
            for n, d in zip(images, np.linalg.norm((q - p + images) @ crystal.lattice, axis=1), strict=True):
                if d <= radius and (i != j or n.any()):
                    found.append((float(d), j))
        rows.append(sorted(found)[:k])
    return rows


@pytest.mark.parametrize("settings", [CGCNN, KNearest(3, 8.0), KNearest(40, 5.0)])
def test_edges_are_the_k_nearest(random_crystals, settings) -> None:
    padded = 0
    for crystal in random_crystals(6, seed=3):
        graph = graph_of(crystal, settings)
        expected = nearest_by_brute_force(crystal, settings.neighbours, settings.radius)
        for atom, row in enumerate(expected):
            missing = settings.neighbours - len(row)
            padded += missing
            distances = [d for d, _ in row] + [settings.radius + 1] * missing
            np.testing.assert_allclose(graph.distances[atom], distances, rtol=2e-7)
            # Both images ±n of an atom are equally far, so a tie is always one of an atom with itself here.
            assert graph.neighbors[atom].tolist() == [j for _, j in row] + [0] * missing
    assert (padded > 0) == (settings.radius == 5.0)


def test_images_lead_to_the_neighbour(random_crystals) -> None:
    crystal = random_crystals(1, seed=8, smallest=5)[0]
    graph = graph_of(crystal)
    vectors = crystal.frac_coords[graph.neighbors] + graph.images - crystal.frac_coords[:, None]
    np.testing.assert_allclose(np.linalg.norm(vectors @ crystal.lattice, axis=-1), graph.distances, rtol=2e-7)


def test_an_atom_with_fewer_neighbours_is_padded_with_atom_0() -> None:
    sparse = Crystal("sparse", 7 * np.eye(3), np.array([[0, 0, 0.0]]), np.array([3]), {})
    graph = graph_of(sparse)
    np.testing.assert_allclose(graph.distances[0], [7.0] * 6 + [9.0] * 6)
    assert not graph.neighbors.any()
    assert not graph.images[0, 6:].any()

    lonely = Crystal("lonely", 20 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([8, 3]), {})
    graph = graph_of(lonely)
    assert (graph.distances == 9.0).all()
    assert not graph.neighbors.any()  # atom 0, though it is not the lightest


def test_ties_at_the_cut_do_not_depend_on_the_order_of_the_atoms() -> None:
    # Oxygen of a cubic perovskite: 2 Ti, then 4 Ca and 8 O at the same distance, of which 10 are taken.
    frac_coords = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    numbers = np.array([20, 22, 8, 8, 8])
    for order in ([0, 1, 2, 3, 4], [4, 0, 3, 1, 2], [1, 4, 2, 0, 3]):
        crystal = Crystal("CaTiO3", 3.9 * np.eye(3), frac_coords[order], numbers[order], {})
        graph = graph_of(crystal)
        for atom in np.flatnonzero(crystal.numbers == 8):
            elements = crystal.numbers[graph.neighbors[atom]]
            assert elements.tolist() == [22] * 2 + [8] * 8 + [20] * 2


def test_neighbours_across_a_gap_are_found() -> None:
    # The mean volume promises neighbours much nearer than the atom in the void has them.
    rng = np.random.default_rng(0)
    frac_coords = np.concatenate([[[0.5, 0.5, 0.5]], 0.1 * rng.random((40, 3))])
    crystal = Crystal("void", 9 * np.eye(3), frac_coords, np.full(41, 14), {})
    expected = [[d for d, _ in row] for row in nearest_by_brute_force(crystal, 12, 8.0)]
    assert 6 < expected[0][0] < 8
    np.testing.assert_allclose(graph_of(crystal).distances, expected, rtol=0, atol=1.1e-4)  # ties: to 1e-4 Å


def test_a_tie_is_seen_where_the_first_search_ends(monkeypatch) -> None:
    radii = []
    search = nearest.radius_neighbors
    monkeypatch.setattr(nearest, "radius_neighbors", lambda *a: (radii.append(a[2]), search(*a))[1])

    def crystal(distance: float) -> Crystal:  # tin just inside, lithium just outside; gold is next to lithium
        x = np.array([0, distance - 2e-5, -distance - 2e-5, -distance - 2])
        frac_coords = np.column_stack([x / 20, np.zeros(4), np.zeros(4)])
        return Crystal("tie", np.diag([20.0, 8.0, 8.0]), frac_coords, np.array([22, 50, 3, 79]), {})

    one = KNearest(1, 8.0)
    graph_of(crystal(5.0), one)
    assert 4 < radii[0] < 7
    assert graph_of(crystal(radii[0]), one).neighbors[0] == 2  # lithium: the lighter of the two


@pytest.mark.parametrize(
    ("neighbours", "radius", "message"),
    [
        (0, 8.0, "neighbours: expected a whole number of at least 1, got 0"),
        (2.5, 8.0, r"neighbours: expected a whole number of at least 1, got 2\.5"),
        (12, 0.0, r"radius: expected a length above 0 Å, got 0\.0"),
        (12, float("nan"), "radius: expected a length above 0 Å, got nan"),
    ],
)
def test_bad_settings_are_named(neighbours, radius, message) -> None:
    with pytest.raises(ValueError, match=message):
        KNearest(neighbours, radius)
