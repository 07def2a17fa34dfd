"""Disordered crystals from a file to a batch: shared and partly empty sites keep their fractions."""

import json
from pathlib import Path

import numpy as np
import pytest
from crystal_files import cubic_cif

from baselines.graphs.batch import GraphBatches
from baselines.graphs.nearest import KNearest
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatches
from crystalformer.data.catalog import DATASETS
from crystalformer.data.crystal import Crystal
from crystalformer.data.image_batch import ImageBatches
from crystalformer.data.store_writer import write_store
from crystalformer.sources import bundle
from crystalformer.sources.convert import prepare
from crystalformer.sources.records import DataError

ALLOY = "O1 O 0.5 0.5 0.5 1\nM1 Ni 0 0 0 0.25\nM2 Fe 0 0 0 0.65\n"
CUBE = {"lattice": 3.6 * np.eye(3), "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]], "numbers": [26, 8]}
MIXED = ((0, 28, 0.25), (0, 26, 0.65))


def store_of(folder: Path, *mixed: object) -> ArrayStore:
    crystals = [Crystal(f"c-{i}", **CUBE, mixed=rows) for i, rows in enumerate(mixed)]
    return ArrayStore.open(write_store(folder, "alloys", crystals, {}, {}))


def cif_table(folder: Path, sites: str) -> Path:
    (folder / "x.cif").write_text(cubic_cif(3.6, *sites.splitlines()))
    (folder / "t.csv").write_text("id,file\nalloy,x.cif\n")
    return folder / "t.csv"


def test_a_file_with_a_shared_and_partly_empty_site(tmp_path: Path) -> None:
    store = prepare(cif_table(tmp_path, ALLOY), tmp_path / "data")
    crystal = store.crystal(0)
    iron = crystal.numbers.tolist().index(26)
    assert sorted(crystal.numbers.tolist()) == [8, 26]
    np.testing.assert_allclose(crystal.mixed, [[iron, 26, 0.65], [iron, 28, 0.25]])
    batch = CrystalBatches(store, np.zeros((1, 1)), mixed_sites=True)(np.array([0]))
    expected = np.zeros((2, 118))
    expected[iron, [25, 27]] = 0.65, 0.25
    expected[1 - iron, 7] = 1
    np.testing.assert_allclose(batch.occupancy, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("sites", "numbers", "fractions"),
    [
        ("Fe1 Fe2+ 0 0 0 0.5\nFe2 Fe3+ 0 0 0 0.5\n", [26], []),  # charges alone make no mixture
        ("Na1 Na+ 0 0 0 0.5\n", [11], [0.5]),
        ("Ni1 Ni 0 0 0 0.5\nFe1 Fe 0 0 0 0.5\n", [26], [0.5, 0.5]),  # the lightest of equals
    ],
)
def test_what_counts_as_mixed(tmp_path: Path, sites: str, numbers: list, fractions: list) -> None:
    crystal = prepare(cif_table(tmp_path, sites), tmp_path / "data").crystal(0)
    assert crystal.numbers.tolist() == numbers
    assert crystal.mixed[:, 2].tolist() == fractions


def test_no_chemical_element(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"alloy: line 2: expected chemical elements, got X"):
        prepare(cif_table(tmp_path, "X1 X0+ 0 0 0 0.5\nFe1 Fe 0 0 0 0.5\n"), tmp_path / "data")


def test_a_store_gives_back_the_fractions_and_its_digest_has_them(tmp_path: Path) -> None:
    plain = store_of(tmp_path, (), ())
    assert len(plain.mixed) == 0
    assert not (plain.path / "mixed.npy").exists()
    store = store_of(tmp_path, (), MIXED)
    other = store_of(tmp_path, (), ((0, 28, 0.25), (0, 26, 0.6)))
    assert len({plain.digest, store.digest, other.digest}) == 3
    assert store.mixed.tolist() == [[2, 26, 0.65], [2, 28, 0.25]]  # atoms counted through the store
    assert store.crystal(0).mixed.shape == (0, 3)
    assert store.crystal(1).mixed.tolist() == [[0, 26, 0.65], [0, 28, 0.25]]
    assert not store.mixed.flags.writeable
    content = bytearray((store.path / "mixed.npy").read_bytes())
    content[-1] ^= 1
    (store.path / "mixed.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"mixed\.npy: expected SHA-256"):
        ArrayStore.open(store.path)


def test_every_crystal_of_a_batch_has_its_own_fractions(tmp_path: Path) -> None:
    store = store_of(tmp_path, MIXED, (), ((1, 8, 0.5),), MIXED[::-1])
    batches = CrystalBatches(store, np.zeros((4, 1)), mixed_sites=True)
    assert batches(np.array([1])).occupancy is None
    batch = batches(np.array([2, 1, 3])).to("cpu")
    shares = batch.occupancy.double().numpy()
    assert shares[[1, 2, 3, 5], [7, 25, 7, 7]].tolist() == [0.5, 1, 1, 1]
    np.testing.assert_allclose(shares.sum(1), [1, 0.5, 1, 1, 0.9, 1], rtol=1e-6)
    assert batch.to("cpu", batch.positions.double().dtype).occupancy.dtype.itemsize == 8
    listed = ImageBatches(store, np.zeros((4, 1)), tmp_path, 3.0, mixed_sites=True)(np.array([2, 1, 3]))
    np.testing.assert_array_equal(listed.occupancy, batch.occupancy)


@pytest.mark.parametrize("batches", [CrystalBatches, GraphBatches])
def test_models_that_know_no_mixed_sites_refuse_the_crystal_by_name(tmp_path: Path, batches: type) -> None:
    cache = [tmp_path, KNearest(12, 8.0)] if batches is GraphBatches else []
    make = batches(store_of(tmp_path, (), (), MIXED), np.zeros((3, 1)), *cache)
    assert make(np.array([1, 0])).occupancy is None
    assert list(make.failures) == [2]
    with pytest.raises(ValueError, match=r"crystal c-2: expected one element on every site, .* disordered"):
        make(np.array([0, 2]))


@pytest.mark.parametrize(
    ("mixed", "message"),
    [
        (((2, 26, 0.5),), r"mixed: expected sites from 0 to 1, got \[2.0\]"),
        (((0.5, 26, 0.5),), "mixed: expected sites from 0 to 1"),
        (((0, 119, 0.5),), r"mixed: expected atomic numbers 1 to 118, got \[119.0\]"),
        (((0, 26, 1.0),), "mixed: expected fractions between 0 and 1, exclusive"),
        (((0, 26, 0.0),), "mixed: expected fractions between 0 and 1, exclusive"),
        (((0, 26, 0.3), (0, 26, 0.3)), "mixed: expected each element of a site once"),
        (((0, 26, 0.7), (0, 28, 0.4)), "mixed: expected fractions of a site up to 1 in all, got 1.1"),
        (((0, 26, 0.3), (0, 28, 0.4)), r"numbers\[0\]: expected Z = 28, the most frequent, got 26"),
        (((0, 26, np.nan),), "mixed: expected finite values"),
        ((0, 26, 0.5), r"mixed: expected rows \(site, Z, fraction\), got shape \(3,\)"),
    ],
)
def test_impossible_fractions_are_refused_with_the_crystals_name(mixed: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=f"crystal 'x': {message}"):
        Crystal("x", **CUBE, mixed=mixed)


def test_the_format_of_bundled_sets_has_no_place_for_them(tmp_path: Path) -> None:
    dataset = DATASETS["mp-elastic-2015"]
    targets = json.loads(json.dumps(dict.fromkeys(dataset.targets, 1.0)))
    crystals = [Crystal(f"c-{i}", **CUBE, targets=targets, mixed=MIXED) for i in range(dataset.crystals)]
    with pytest.raises(DataError, match="expected one element on every site, got more in c-0"):
        bundle.bundle(dataset, crystals, tmp_path)
