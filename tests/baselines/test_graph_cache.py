"""The k-nearest rule, and a cache that is built once, checked on opening and never mixed up."""

import json
import logging
import os
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from baselines import graph_cache
from baselines.graph_cache import KNearest, KNearestGraph, k_nearest, open_graph
from crystalformer.data.crystal import Crystal

CGCNN = KNearest(12, 8.0)


def assert_same(a: KNearestGraph, b: KNearestGraph) -> None:
    for name in graph_cache.ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def graph_of(crystal: Crystal, settings: KNearest = CGCNN) -> KNearestGraph:
    return k_nearest(crystal.lattice, crystal.frac_coords, crystal.numbers, settings)


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
    search = graph_cache.radius_neighbors
    monkeypatch.setattr(graph_cache, "radius_neighbors", lambda *a: (radii.append(a[2]), search(*a))[1])

    def crystal(distance: float) -> Crystal:  # tin just inside, lithium just outside; gold is next to lithium
        x = np.array([0, distance - 2e-5, -distance - 2e-5, -distance - 2])
        frac_coords = np.column_stack([x / 20, np.zeros(4), np.zeros(4)])
        return Crystal("tie", np.diag([20.0, 8.0, 8.0]), frac_coords, np.array([22, 50, 3, 79]), {})

    one = KNearest(1, 8.0)
    graph_of(crystal(5.0), one)
    assert 4 < radii[0] < 7
    assert graph_of(crystal(radii[0]), one).neighbors[0] == 2  # lithium: the lighter of the two


def test_images_beyond_the_stored_range_are_refused() -> None:
    far = Crystal("far", 4 * np.eye(3), np.array([[0, 0, 0], [40000.5, 0.5, 0.5]]), np.array([8, 8]), {})
    with pytest.raises(ValueError, match="wrap them into the cell"):
        graph_of(far)


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


def test_cache_holds_the_graph_of_each_crystal(store_of, random_crystals, tmp_path, monkeypatch) -> None:
    crystals = random_crystals(7)
    store = store_of(crystals)
    monkeypatch.setattr(graph_cache, "CHUNK", 3)
    built = open_graph(store, tmp_path / "cache", CGCNN)
    for row, crystal in enumerate(crystals):
        atoms = slice(store.offsets[row], store.offsets[row + 1])
        assert_same(KNearestGraph(*(getattr(built, n)[atoms] for n in graph_cache.ARRAYS)), graph_of(crystal))


def test_several_workers_build_the_same_graph(store_of, random_crystals, tmp_path, monkeypatch) -> None:
    store = store_of(random_crystals(10))
    serial = open_graph(store, tmp_path / "serial", CGCNN, workers=1)
    monkeypatch.setattr(graph_cache, "CHUNK", 4)
    monkeypatch.setattr(graph_cache, "SERIAL", 0)
    assert_same(open_graph(store, tmp_path / "parallel", CGCNN, workers=2), serial)


def test_second_opening_reads_what_the_first_wrote(store_of, random_crystals, tmp_path, monkeypatch) -> None:
    store = store_of(random_crystals(3))
    first = open_graph(store, tmp_path, CGCNN)

    def fail(*_: object) -> None:
        raise AssertionError("built a second time")

    monkeypatch.setattr(graph_cache, "_build", fail)
    second = open_graph(store, tmp_path, CGCNN)
    assert_same(second, first)
    assert not second.distances.flags.writeable


def test_other_settings_or_other_crystals_get_another_graph(store_of, random_crystals, tmp_path) -> None:
    cache = tmp_path / "cache"
    store = store_of(random_crystals(3))
    wide = open_graph(store, cache, CGCNN)
    few = open_graph(store, cache, KNearest(4, 8.0))
    short = open_graph(store, cache, KNearest(12, 3.0))
    other = open_graph(store_of(random_crystals(3, seed=1)), cache, CGCNN)
    assert len(list(cache.glob("toy-knearest-*"))) == 4
    np.testing.assert_array_equal(few.distances, wide.distances[:, :4])
    assert short.distances.max() == 4.0
    assert other.distances.shape != wide.distances.shape or (other.distances != wide.distances).any()


@pytest.mark.parametrize("damage", ["a byte", "truncated", "missing", "manifest", "another graph"])
def test_a_damaged_cache_is_built_again(store_of, random_crystals, tmp_path, damage, caplog) -> None:
    cache = tmp_path / "cache"
    store = store_of(random_crystals(3))
    expected = [np.array(getattr(open_graph(store, cache, CGCNN), name)) for name in graph_cache.ARRAYS]
    [folder] = cache.glob("toy-knearest-*")
    file = folder / "distances.npy"
    content = file.read_bytes()
    if damage == "a byte":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "truncated":
        file.write_bytes(content[:-8])
    elif damage == "missing":
        file.unlink()
    elif damage == "manifest":
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["identity"]["store"] = "0" * 64
        (folder / "manifest.json").write_text(json.dumps(manifest))
    else:
        open_graph(store, tmp_path / "other", KNearest(5, 8.0))
        [other] = (tmp_path / "other").glob("toy-knearest-*")
        for path in other.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())

    with caplog.at_level(logging.WARNING):
        again = open_graph(store, cache, CGCNN)
    assert "building again" in caplog.text
    assert str(folder) in caplog.text
    assert_same(again, KNearestGraph(*expected))
    caplog.clear()
    open_graph(store, cache, CGCNN)
    assert not caplog.text


def test_a_failed_build_leaves_nothing(store_of, random_crystals, tmp_path, monkeypatch) -> None:
    cache = tmp_path / "cache"
    store = store_of(random_crystals(3))

    def fail(*_: object) -> None:
        raise ValueError("lattice: expected something else")

    with monkeypatch.context() as patch:
        patch.setattr(graph_cache, "k_nearest", fail)
        with pytest.raises(ValueError, match="crystal toy-0: lattice: expected something else"):
            open_graph(store, cache, CGCNN)
    assert not [path for path in cache.iterdir() if path.is_dir()]
    assert len(open_graph(store, cache, CGCNN).distances) == len(store.numbers)


def test_what_a_killed_build_left_behind_is_no_hindrance(store_of, random_crystals, tmp_path) -> None:
    cache = tmp_path / "cache"
    store = store_of(random_crystals(2))
    expected = open_graph(store, tmp_path / "elsewhere", CGCNN)
    [folder] = (tmp_path / "elsewhere").glob("toy-knearest-*")
    partial = cache / f".{folder.name}.partial"
    partial.mkdir(parents=True)
    (partial / "neighbors.npy").write_bytes(b"half")
    assert_same(open_graph(store, cache, CGCNN), expected)
    assert not partial.exists()


PROCESS = """
import sys, time
from pathlib import Path
from baselines import graph_cache
from crystalformer.data.array_store import ArrayStore
build = graph_cache._build
def counted(*arguments):
    print("built")
    time.sleep(0.3)  # so that the others arrive while this one builds
    build(*arguments)
graph_cache._build = counted
store, cache, go = ArrayStore.open(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
(go.parent / f"ready-{sys.argv[4]}").touch()
while not go.exists():
    time.sleep(0.005)
graph = graph_cache.open_graph(store, cache, graph_cache.KNearest(12, 8.0))
print("edges", graph.distances.size)
"""


def test_four_processes_at_once_build_it_once(store_of, random_crystals, tmp_path) -> None:
    store, cache, go = store_of(random_crystals(5)), tmp_path / "cache", tmp_path / "go"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(store.path), str(cache), str(go), str(number)],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    while len(list(tmp_path.glob("ready-*"))) < 4:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    go.touch()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert sum(output.count("built") for output in outputs) == 1
    assert all(f"edges {12 * len(store.numbers)}" in output for output in outputs)
    assert len(list(Path(cache).glob("toy-knearest-*"))) == 1
