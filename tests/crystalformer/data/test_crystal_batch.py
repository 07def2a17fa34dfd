"""`CrystalBatch`: positions, order and ownership."""

import numpy as np
import pytest
import torch

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatches, flat_rows


@pytest.fixture
def batches(store: ArrayStore) -> CrystalBatches:
    return CrystalBatches(store, np.stack([store.targets["energy"], store.targets["gap"]], axis=1))


def test_each_crystal_as_stored_in_the_order_asked_for(store: ArrayStore, batches: CrystalBatches) -> None:
    rows = np.array([7, 0, 49, 3])
    batch = batches(rows)
    assert len(batch) == 4
    assert batch.indices.tolist() == rows.tolist()
    assert batch.positions.dtype == batch.lattices.dtype == batch.targets.dtype == torch.float32
    start = 0
    for place, row in enumerate(rows):
        crystal = store.crystal(row)
        atoms = slice(start, start + len(crystal))
        assert batch.sizes[place] == len(crystal)
        assert batch.numbers[atoms].tolist() == crystal.numbers.tolist()
        np.testing.assert_allclose(
            batch.positions[atoms], crystal.frac_coords @ crystal.lattice, rtol=1e-6, atol=1e-6
        )
        np.testing.assert_allclose(batch.lattices[place], crystal.lattice, rtol=1e-6)
        assert (batch.crystal_of_atom[atoms] == place).all()
        expected = [crystal.targets["energy"], crystal.targets.get("gap", np.nan)]
        np.testing.assert_allclose(batch.targets[place], expected, rtol=1e-6)
        start += len(crystal)
    assert start == len(batch.numbers) == len(batch.positions) == len(batch.crystal_of_atom)


def test_a_batch_owns_its_memory(store: ArrayStore, batches: CrystalBatches) -> None:
    rows = np.arange(5)
    first = batches(rows)
    for tensor in (first.numbers, first.positions, first.lattices, first.sizes, first.targets, first.indices):
        tensor.zero_()
    second = batches(np.arange(5))
    assert (second.numbers > 0).all()
    assert (second.sizes > 0).all()
    assert second.lattices.abs().sum() > 0
    assert second.indices.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(ArrayStore.open(store.path).numbers, store.numbers)


def test_to_changes_floating_point_fields_only(batches: CrystalBatches) -> None:
    batch = batches(np.array([1, 2])).to("cpu", torch.float64)
    assert batch.positions.dtype == batch.lattices.dtype == batch.targets.dtype == torch.float64
    assert batch.numbers.dtype == batch.sizes.dtype == batch.indices.dtype == torch.int64


def test_wrapped_positions_are_those_of_the_images_inside_the_cell(store: ArrayStore) -> None:
    wrapped = CrystalBatches(store, np.zeros((50, 1)), wrapped=True)
    batch, stored = wrapped(np.arange(50)), CrystalBatches(store, np.zeros((50, 1)))(np.arange(50))
    inverse = batch.lattices.double().inverse()[batch.crystal_of_atom]
    inside = (batch.positions.double().unsqueeze(1) @ inverse).squeeze(1)
    moved = inside - (stored.positions.double().unsqueeze(1) @ inverse).squeeze(1)
    assert inside.min() > -1e-6
    assert inside.max() < 1 + 1e-6
    assert moved.abs().max() > 0.9  # some were outside
    np.testing.assert_allclose(moved, moved.round(), atol=1e-6)


def test_flat_rows_known_answer() -> None:
    assert flat_rows(np.array([10, 0, 5]), np.array([3, 1, 2])).tolist() == [10, 11, 12, 0, 5, 6]
    assert flat_rows(np.array([], dtype=np.int64), np.array([], dtype=np.int64)).tolist() == []


def test_targets_of_another_shape_are_refused(store: ArrayStore) -> None:
    with pytest.raises(ValueError, match=r"scaled_targets: expected \(50, targets\), got \(50,\)"):
        CrystalBatches(store, store.targets["energy"])
