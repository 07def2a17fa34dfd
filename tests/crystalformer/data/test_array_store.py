"""A store gives back what was written, notices damage, and appears whole or not at all."""

import hashlib
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import crystalformer.data.array_store
from crystalformer.data.array_store import ArrayStore, StoreError
from crystalformer.data.crystal import Crystal
from crystalformer.data.growing_array import GrowingArray
from crystalformer.data.store_writer import write_store

ROOT = Path(crystalformer.data.array_store.__file__).resolve().parents[2]
FILES = (
    "lattices.npy",
    "frac_coords.npy",
    "numbers.npy",
    "offsets.npy",
    "targets.npy",
    "ids.json",
    "manifest.json",
)


def test_round_trip_is_exact(tmp_path: Path, make_crystals) -> None:
    crystals = make_crystals(20, labels=True)
    store = ArrayStore.open(write_store(tmp_path, "toy", crystals, {"energy": "eV/atom"}, {"file": "x.csv"}))
    assert len(store) == 20
    assert store.ids == tuple(crystal.id for crystal in crystals)
    assert store.units == {"energy": "eV/atom", "gap": None}
    assert store.manifest["source"] == {"file": "x.csv"}
    assert store.manifest["counts"] == {"crystals": 20, "atoms": sum(map(len, crystals))}
    for row, written in enumerate(crystals):
        read = store.crystal(row)
        assert read.id == written.id
        assert read.split == written.split
        assert read.targets == written.targets
        for name in ("lattice", "frac_coords", "numbers"):
            np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


def test_layout_and_types(store: ArrayStore) -> None:
    count, atoms = 50, int(store.offsets[-1])
    shapes = {
        "lattices": ((count, 3, 3), np.float64),
        "frac_coords": ((atoms, 3), np.float64),
        "numbers": ((atoms,), np.uint8),
        "offsets": ((count + 1,), np.int64),
    }
    for name, (shape, dtype) in shapes.items():
        array = getattr(store, name)
        assert array.shape == shape
        assert array.dtype == dtype
        assert not array.flags.writeable
        assert isinstance(array.base, np.memmap)
    assert store.offsets[0] == 0
    assert (store.sizes > 0).all()
    assert store.sizes.sum() == atoms
    assert np.isnan(store.targets["gap"][::2]).all()
    assert np.isfinite(store.targets["gap"][1::2]).all()


def test_digest_is_of_the_content_alone(tmp_path: Path, make_crystals) -> None:
    crystals = make_crystals(5)
    first = write_store(tmp_path / "a", "one", crystals, {}, {"when": "today"})
    second = write_store(tmp_path / "b", "two", crystals, {"energy": "eV"}, {"when": "tomorrow"})
    digest = ArrayStore.open(first).digest
    assert ArrayStore.open(second).digest == digest
    assert first.name == f"one-{digest[:12]}"
    moved = Crystal(
        "c-0", crystals[0].lattice, crystals[0].frac_coords + 1e-15, crystals[0].numbers, crystals[0].targets
    )
    assert ArrayStore.open(write_store(tmp_path, "one", [moved, *crystals[1:]], {}, {})).digest != digest
    assert ArrayStore.open(write_store(tmp_path, "one", crystals[::-1], {}, {})).digest != digest


def test_digest_is_the_same_on_every_machine(tmp_path: Path) -> None:
    """The digest spelled out byte by byte, little-endian, for one crystal."""
    crystal = Crystal("a", 2 * np.eye(3), [[0, 0, 0.5]], [26], {"e": -1.5})
    text = '{\n "format": 1,\n "ids": [\n  "a"\n ],\n "split": [\n  null\n ],\n "targets": [\n  "e"\n ]\n}\n'
    content = [
        text.encode(),
        b"lattices (1, 3, 3)" + struct.pack("<9d", 2, 0, 0, 0, 2, 0, 0, 0, 2),
        b"frac_coords (1, 3)" + struct.pack("<3d", 0, 0, 0.5),
        b"numbers (1,)" + bytes([26]),
        b"offsets (2,)" + struct.pack("<2q", 0, 1),
        b"targets (1, 1)" + struct.pack("<d", -1.5),
    ]
    store = ArrayStore.open(write_store(tmp_path, "one", [crystal], {}, {}))
    assert store.digest == hashlib.sha256(b"".join(content)).hexdigest()


def test_pickling_sends_the_path_only(store: ArrayStore) -> None:
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).frac_coords, store.frac_coords)


def test_store_without_targets(tmp_path: Path) -> None:
    store = ArrayStore.open(
        write_store(tmp_path, "bare", [Crystal("a", np.eye(3), [[0, 0, 0]], [1])], {}, {})
    )
    assert store.targets == {}
    assert store.units == {}


def test_rows_of_ids(store: ArrayStore) -> None:
    assert store.rows(["c-7", "c-0"]).tolist() == [7, 0]
    with pytest.raises(ValueError, match=r"1 ids are not in data set toy .*'c-99'"):
        store.rows(["c-7", "c-99"])


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_noticed(store: ArrayStore, name: str) -> None:
    file = store.path / name
    content = bytearray(file.read_bytes())
    content[-10] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match=f"{name}: expected .*, got .*; delete the folder .* and run again"):
        ArrayStore.open(store.path)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_shortened_file_is_noticed(store: ArrayStore, name: str, verify: bool) -> None:
    file = store.path / name
    content = file.read_bytes()
    file.write_bytes(content[:-8])
    with pytest.raises(StoreError, match=name):
        ArrayStore.open(store.path, verify=verify)
    file.unlink()
    with pytest.raises(StoreError, match=f"{name}: expected .*, got no such file"):
        ArrayStore.open(store.path, verify=verify)


def test_another_dtype_is_noticed_without_checksums(store: ArrayStore) -> None:
    np.save(store.path / "lattices.npy", np.asarray(store.lattices).view(np.int64))
    with pytest.raises(StoreError, match=r"lattices.npy: expected <f8 of shape .*, got <i8"):
        ArrayStore.open(store.path, verify=False)


def test_an_edited_manifest_is_noticed(store: ArrayStore) -> None:
    file = store.path / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["units"]["energy"] = "meV/atom"
    file.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=r"manifest.json: expected checksum"):
        ArrayStore.open(store.path)


def test_a_folder_that_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected the manifest of a finished store, got no such file"):
        ArrayStore.open(tmp_path)


def test_writing_again_keeps_the_store_and_refuses_a_damaged_one(tmp_path: Path, make_crystals) -> None:
    crystals = make_crystals(5)
    path = write_store(tmp_path, "toy", crystals, {}, {})
    before = (path / "manifest.json").stat().st_mtime_ns
    assert write_store(tmp_path, "toy", crystals, {}, {"other": "source"}) == path
    assert (path / "manifest.json").stat().st_mtime_ns == before
    (path / "numbers.npy").unlink()
    with pytest.raises(StoreError, match=r"numbers.npy.*delete the folder"):
        write_store(tmp_path, "toy", crystals, {}, {})
    shutil.rmtree(path)
    assert len(ArrayStore.open(write_store(tmp_path, "toy", crystals, {}, {}))) == 5


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, make_crystals, monkeypatch, error: BaseException
) -> None:
    append = GrowingArray.append
    calls = []

    def append_some(array: GrowingArray, values: np.ndarray) -> None:
        append(array, values)
        calls.append(array)
        if len(calls) == 9:
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(GrowingArray, "append", append_some)
        with pytest.raises(type(error)):
            write_store(tmp_path, "toy", make_crystals(5), {}, {})
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_a_killed_writer_is_cleaned_up_after(tmp_path: Path, make_crystals) -> None:
    killed = """
import os, sys, numpy as np
from crystalformer.data import store_writer
from crystalformer.data.crystal import Crystal
store_writer.write_manifest = lambda folder, manifest: os.kill(os.getpid(), 9)
store_writer.write_store(sys.argv[1], "toy", [Crystal("a", np.eye(3), [[0, 0, 0]], [1])], {}, {})
"""
    done = subprocess.run(
        [sys.executable, "-c", killed, str(tmp_path)], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == -9
    assert len(list(tmp_path.glob(".toy.tmp-*"))) == 1
    path = write_store(tmp_path, "toy", [Crystal("a", np.eye(3), [[0, 0, 0]], [1])], {}, {})
    assert len(ArrayStore.open(path)) == 1
    assert list(tmp_path.glob(".toy.tmp-*")) == []


def test_wrong_arguments(tmp_path: Path, make_crystals) -> None:
    crystals = make_crystals(2)
    with pytest.raises(ValueError, match="crystals: expected at least one, got none"):
        write_store(tmp_path, "toy", [], {}, {})
    with pytest.raises(ValueError, match="expected every id once, got 'c-1' more than once"):
        write_store(tmp_path, "toy", [*crystals, crystals[1]], {}, {})
    for name in ("../up", "", ".hidden", "a/b"):
        with pytest.raises(ValueError, match="name: expected letters"):
            write_store(tmp_path, name, crystals, {}, {})
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_checksums_are_those_of_the_files(store: ArrayStore) -> None:
    for name, entry in store.manifest["files"].items():
        content = (store.path / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
