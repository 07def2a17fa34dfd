"""The edges of a data set: built once, checked on opening, never mixed up, failures kept with a reason."""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from baselines.graphs import edge_lists
from baselines.graphs.edge_lists import EdgeLists, open_edges
from baselines.graphs.nearest import KNearest
from baselines.graphs.radius import WithinRadius
from crystalformer.data.crystal import Crystal

CGCNN = KNearest(12, 8.0)
NAMES = ("offsets", "neighbors", "images", "distances")


def assert_same(a: EdgeLists, b: EdgeLists) -> None:
    for name in NAMES:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.failures == b.failures


def test_images_beyond_the_stored_range_are_refused(store_of, tmp_path) -> None:
    far = Crystal("far", 4 * np.eye(3), np.array([[0, 0, 0], [40000.5, 0.5, 0.5]]), np.array([8, 8]), {})
    with pytest.raises(ValueError, match=r"crystal far: .*wrap them into the cell"):
        open_edges(store_of([far]), tmp_path, CGCNN)


@pytest.mark.parametrize("rule", [CGCNN, WithinRadius(4.0)])
def test_lists_hold_the_edges_of_each_crystal(store_of, random_crystals, tmp_path, monkeypatch, rule) -> None:
    crystals = random_crystals(7)
    store = store_of(crystals)
    monkeypatch.setattr(edge_lists, "CHUNK", 3)
    built = open_edges(store, tmp_path / "cache", rule)
    for row, crystal in enumerate(crystals):
        first, last = store.offsets[row], store.offsets[row + 1]
        edges = slice(built.offsets[first], built.offsets[last])
        expected = rule.edges(crystal.lattice, crystal.frac_coords, crystal.numbers)
        counts = np.diff(built.offsets[first : last + 1])
        assert np.repeat(np.arange(last - first), counts).tolist() == expected.centers.tolist()
        np.testing.assert_array_equal(built.neighbors[edges], expected.neighbors)
        np.testing.assert_array_equal(built.images[edges], expected.images)
        np.testing.assert_allclose(built.distances[edges], expected.distances, rtol=1e-7)


def test_crystals_without_a_graph_are_kept_with_their_reason(store_of, random_crystals, tmp_path) -> None:
    lonely = Crystal("lonely", 20 * np.eye(3), np.zeros((1, 3)), np.array([3]), {})
    first, last = random_crystals(2)
    store = store_of([first, lonely, last])
    lists = open_edges(store, tmp_path, WithinRadius(4.0, isolated_atoms=False))
    reason = "expected a neighbour within 4 Å of every atom, atom 0 has none"
    assert lists.failures == {1: reason}
    alone = len(first.numbers)
    assert lists.offsets[alone] == lists.offsets[alone + 1] < lists.offsets[-1]
    again = open_edges(store, tmp_path, WithinRadius(4.0, isolated_atoms=False))
    assert_same(again, lists)
    assert not open_edges(store, tmp_path, WithinRadius(4.0)).failures


def test_several_workers_build_the_same_graph(store_of, random_crystals, tmp_path, monkeypatch) -> None:
    store = store_of(random_crystals(10))
    serial = open_edges(store, tmp_path / "serial", CGCNN, workers=1)
    monkeypatch.setattr(edge_lists, "CHUNK", 4)
    monkeypatch.setattr(edge_lists, "SERIAL", 0)
    assert_same(open_edges(store, tmp_path / "parallel", CGCNN, workers=2), serial)


def test_second_opening_reads_what_the_first_wrote(store_of, random_crystals, tmp_path, monkeypatch) -> None:
    store = store_of(random_crystals(3))
    first = open_edges(store, tmp_path, CGCNN)

    def fail(*_: object) -> None:
        raise AssertionError("built a second time")

    monkeypatch.setattr(edge_lists, "_build", fail)
    second = open_edges(store, tmp_path, CGCNN)
    assert_same(second, first)
    assert not second.distances.flags.writeable


def test_other_settings_or_other_crystals_get_another_graph(store_of, random_crystals, tmp_path) -> None:
    cache = tmp_path / "cache"
    store = store_of(random_crystals(3))
    wide = open_edges(store, cache, CGCNN)
    few = open_edges(store, cache, KNearest(4, 8.0))
    short = open_edges(store, cache, KNearest(12, 3.0))
    other = open_edges(store_of(random_crystals(3, seed=1)), cache, CGCNN)
    assert len(list(cache.glob("toy-nearest-*"))) == 4
    np.testing.assert_array_equal(few.distances.reshape(-1, 4), wide.distances.reshape(-1, 12)[:, :4])
    assert short.distances.max() == 4.0
    assert other.distances.shape != wide.distances.shape or (other.distances != wide.distances).any()


@pytest.mark.parametrize("damage", ["a byte", "truncated", "missing", "manifest", "another graph"])
def test_a_damaged_cache_is_built_again(store_of, random_crystals, tmp_path, damage, caplog) -> None:
    cache = tmp_path / "cache"
    store = store_of(random_crystals(3))
    lists = open_edges(store, cache, CGCNN)
    expected = EdgeLists(*(np.array(getattr(lists, name)) for name in NAMES), {})
    [folder] = cache.glob("toy-nearest-*")
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
        open_edges(store, tmp_path / "other", KNearest(5, 8.0))
        [other] = (tmp_path / "other").glob("toy-nearest-*")
        for path in other.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())

    with caplog.at_level(logging.WARNING):
        again = open_edges(store, cache, CGCNN)
    assert "building again" in caplog.text
    assert str(folder) in caplog.text
    assert_same(again, expected)
    caplog.clear()
    open_edges(store, cache, CGCNN)
    assert not caplog.text


def test_a_failed_build_leaves_nothing(store_of, random_crystals, tmp_path, monkeypatch) -> None:
    cache = tmp_path / "cache"
    store = store_of(random_crystals(3))

    def fail(*_: object) -> None:
        raise ValueError("lattice: expected something else")

    with monkeypatch.context() as patch:
        patch.setattr(KNearest, "edges", fail)
        with pytest.raises(ValueError, match="crystal toy-0: lattice: expected something else"):
            open_edges(store, cache, CGCNN)
    assert not [path for path in cache.iterdir() if path.is_dir()]
    assert len(open_edges(store, cache, CGCNN).distances) == 12 * len(store.numbers)


def test_what_a_killed_build_left_behind_is_no_hindrance(store_of, random_crystals, tmp_path) -> None:
    cache = tmp_path / "cache"
    store = store_of(random_crystals(2))
    expected = open_edges(store, tmp_path / "elsewhere", CGCNN)
    [folder] = (tmp_path / "elsewhere").glob("toy-nearest-*")
    partial = cache / f".{folder.name}.partial"
    partial.mkdir(parents=True)
    (partial / "neighbors.npy").write_bytes(b"half")
    assert_same(open_edges(store, cache, CGCNN), expected)
    assert not partial.exists()


PROCESS = """
import sys, time
from pathlib import Path
from baselines.graphs import edge_lists, nearest
from crystalformer.data.array_store import ArrayStore
build = edge_lists._build
def counted(*arguments):
    print("built")
    time.sleep(0.3)  # so that the others arrive while this one builds
    build(*arguments)
edge_lists._build = counted
store, cache, go = ArrayStore.open(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
(go.parent / f"ready-{sys.argv[4]}").touch()
while not go.exists():
    time.sleep(0.005)
graph = edge_lists.open_edges(store, cache, nearest.KNearest(12, 8.0))
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
    assert len(list(Path(cache).glob("toy-nearest-*"))) == 1
