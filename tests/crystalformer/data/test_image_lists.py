"""The lists of a store, and batches cut out of them."""

import numpy as np
import pytest
import torch

from crystalformer.data import image_lists
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.image_batch import ImageBatches
from crystalformer.data.image_lists import open_image_lists
from crystalformer.data.radius_images import radius_images
from crystalformer.data.store_writer import write_store


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    crystals = []
    for number, atoms in enumerate((3, 1, 6, 2, 4)):
        lattice = (15 * atoms) ** (1 / 3) * (np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3)))
        crystals.append(Crystal(f"toy-{number}", lattice, rng.random((atoms, 3)), np.full(atoms, 8), {}))
    return ArrayStore.open(write_store(tmp_path / "stores", "toy", crystals, {}, {}))


def images_of(store, row, radius):
    crystal = store.crystal(row)
    positions = crystal.frac_coords @ crystal.lattice
    return radius_images(positions, crystal.lattice[None], np.array([len(crystal)]), radius)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_lists_are_those_of_each_crystal(store, tmp_path, monkeypatch, workers):
    monkeypatch.setattr(image_lists, "CHUNK", 2)
    lists = open_image_lists(store, tmp_path / "cache", 4.5, workers)
    assert not lists.distances.flags.writeable
    expected = [images_of(store, row, 4.5) for row in range(len(store))]
    np.testing.assert_array_equal(np.diff(lists.offsets), np.concatenate([e.counts for e in expected]))
    np.testing.assert_array_equal(lists.keys, np.concatenate([e.keys for e in expected]))
    np.testing.assert_allclose(lists.distances, np.concatenate([e.distances for e in expected]), rtol=1e-7)


def test_they_are_built_once_for_each_radius(store, tmp_path, monkeypatch):
    first = open_image_lists(store, tmp_path, 4.5)
    open_image_lists(store, tmp_path, 3.0)
    assert len(list(tmp_path.glob("toy-images-*"))) == 2

    def fail(*_):
        raise AssertionError("built a second time")

    monkeypatch.setattr(image_lists, "_build", fail)
    again = open_image_lists(store, tmp_path, 4.5)
    assert all(np.array_equal(x, y) for x, y in zip(first, again, strict=True))


def test_damaged_lists_are_built_again(store, tmp_path, caplog):
    expected = [np.array(array) for array in open_image_lists(store, tmp_path, 4.5)]
    [file] = tmp_path.glob("toy-images-*/distances.npy")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = open_image_lists(store, tmp_path, 4.5)
    assert "building again" in caplog.text
    assert all(np.array_equal(x, y) for x, y in zip(again, expected, strict=True))


def test_a_batch_has_the_images_of_its_crystals(store, tmp_path):
    make_batch = ImageBatches(store, np.zeros((5, 1)), tmp_path, 4.5)
    rows = np.array([4, 0, 2])
    batch = make_batch(rows)
    first_atom = first_image = 0
    for row in rows:
        expected = images_of(store, row, 4.5)
        atoms = slice(first_atom, first_atom + len(expected.counts))
        images = slice(first_image, first_image + len(expected.keys))
        assert batch.image_offsets.diff()[atoms].tolist() == expected.counts.tolist()
        assert (batch.image_keys[images] - first_atom).tolist() == expected.keys.tolist()
        np.testing.assert_allclose(batch.image_distances[images], expected.distances, rtol=1e-7)
        first_atom, first_image = atoms.stop, images.stop
    assert first_image == len(batch.image_keys)
    assert batch.to("cpu", torch.float64).image_distances.dtype == torch.float64
    assert batch.to("cpu").image_radius == 4.5
    assert batch.numbers.tolist() == [8] * 13
