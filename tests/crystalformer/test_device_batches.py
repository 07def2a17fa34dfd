"""Batches gathered on the device are the usual ones, with one crystal of padding."""

import numpy as np
import pytest
import torch

from crystalformer.data.capacity import Capacity, ladder_for
from crystalformer.data.device_batches import DeviceBatches
from crystalformer.data.images_by_key import sort_by_key

ROWS = [np.array([4, 0, 9]), np.array([7]), np.arange(12)[::-1].copy()]


@pytest.mark.parametrize("rows", ROWS, ids=str)
@pytest.mark.parametrize("more", [(1, 1), (3, 3), (5, 90)])
def test_a_gathered_batch_is_the_plain_one_and_padding(toy_batches, rows, more):
    device = DeviceBatches(toy_batches, np.random.default_rng(0).permutation(12), "cpu")
    plain = toy_batches(rows)
    atoms, images = len(plain.numbers), len(plain.image_keys)
    assert device.need(rows) == (atoms, images)
    capacity = Capacity(atoms + more[0], images + more[1])
    padded = device.gather(device.upload(rows), capacity)
    assert padded.checked
    assert padded.real == len(rows)
    assert padded.occupancy is plain.occupancy is None
    assert padded.image_radius == plain.image_radius
    tensors = {name: value for name, value in vars(plain).items() if isinstance(value, torch.Tensor)}
    for name, value in tensors.items():
        found = getattr(padded, name)
        torch.testing.assert_close(found[: len(value)], value, rtol=0, atol=0, msg=name)
    assert len(padded.numbers) == padded.sizes.sum() == capacity.atoms
    assert len(padded.image_keys) == padded.image_offsets[-1] == capacity.images


def test_padding_is_a_crystal_of_atoms_that_see_only_themselves(toy_batches):
    device = DeviceBatches(toy_batches, np.arange(12), "cpu")
    atoms, images = device.need(ROWS[0])
    batch = device.gather(device.upload(ROWS[0]), Capacity(atoms + 4, images + 11))
    counts = batch.image_offsets.diff()
    assert counts[-4:].min() >= 2  # shared out, so that no atom has all the work
    query = torch.arange(atoms + 4).repeat_interleave(counts)
    assert query.equal(batch.image_queries)
    assert batch.image_keys[images:].equal(query[images:])
    assert (batch.image_distances[images:] == 0).all()


@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_the_order_by_key_is_known_beforehand(toy_batches, rows):
    batch = DeviceBatches(toy_batches, np.arange(12), "cpu")(rows)
    expected = sort_by_key(batch.image_keys, batch.image_offsets)
    for found, wanted in zip(batch.images_by_key, expected, strict=True):
        assert found.equal(wanted)


def test_rows_that_are_elsewhere_are_named(toy_batches):
    device = DeviceBatches(toy_batches, np.array([3, 5]), "cpu")
    with pytest.raises(ValueError, match="indices: expected rows that are on cpu, got 4, which is not"):
        device(np.array([3, 4]))


@pytest.mark.parametrize("batch_size", [1, 8, 500])
def test_a_ladder_has_few_rungs_and_wastes_little(batch_size):
    rng = np.random.default_rng(1)
    atoms = rng.integers(1, 60, 1000)
    images = atoms * rng.integers(60, 100, 1000)
    ladder = ladder_for(atoms, images, batch_size)
    assert ladder == ladder_for(atoms, images, batch_size)
    met, padded, needed = set(), 0, 0
    for _ in range(300):
        rows = rng.choice(1000, batch_size, replace=False)
        need = int(atoms[rows].sum()), int(images[rows].sum())
        capacity = ladder.holding(*need)
        assert capacity.atoms > need[0]
        assert capacity.images - need[1] >= capacity.atoms - need[0]
        met.add(capacity)
        padded, needed = padded + capacity.images, needed + need[1]
    assert len(met) <= 16
    assert padded < (1.1 if batch_size == 500 else 2.0) * needed


def test_one_capacity_where_all_batches_are_alike():
    ladder = ladder_for(np.full(20, 4), np.full(20, 300), 8)
    assert ladder.holding(32, 2400) == ladder.holding(32, 2400)
    assert ladder.holding(32, 2400).atoms <= 36
