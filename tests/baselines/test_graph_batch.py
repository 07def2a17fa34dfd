"""Batches of graphs: the edges of a crystal are the same wherever in a batch it stands."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.graph_batch import GraphBatch, KNearestBatches


def batches_of(store, cache, neighbours: int = 12) -> KNearestBatches:
    return KNearestBatches(store, np.arange(len(store), dtype=float)[:, None], cache, neighbours=neighbours)


def test_edges_join_atoms_at_their_distance(store_of, random_crystals, tmp_path) -> None:
    store = store_of(random_crystals(5))
    batch = batches_of(store, tmp_path)(np.array([3, 0, 4]))
    assert isinstance(batch, GraphBatch)
    assert batch.sizes.tolist() == store.sizes[[3, 0, 4]].tolist()
    assert batch.targets.tolist() == [[3.0], [0.0], [4.0]]
    crystal = batch.crystal_of_atom
    assert torch.equal(crystal[batch.edge_centers], crystal[batch.edge_neighbors])
    assert torch.equal(batch.edge_centers, torch.arange(len(batch.numbers)).repeat_interleave(12))
    lattices = batch.lattices[crystal[batch.edge_centers]]
    shifts = torch.einsum("en,enx->ex", batch.edge_images.float(), lattices)
    vectors = batch.positions[batch.edge_neighbors] + shifts - batch.positions[batch.edge_centers]
    torch.testing.assert_close(vectors.norm(dim=1), batch.edge_distances, rtol=0, atol=1e-5)


def test_a_batch_is_its_crystals_one_after_the_other(store_of, random_crystals, tmp_path) -> None:
    make = batches_of(store_of(random_crystals(4)), tmp_path, neighbours=5)
    rows = np.array([2, 0, 3])
    whole, single = make(rows), [make(rows[[place]]) for place in range(3)]
    first_atoms = np.cumsum([0] + [len(batch.numbers) for batch in single])
    first_edges = first_atoms * 5
    for batch, atom, (start, stop) in zip(single, first_atoms, pairwise(first_edges), strict=False):
        assert torch.equal(whole.edge_centers[start:stop], batch.edge_centers + atom)
        assert torch.equal(whole.edge_neighbors[start:stop], batch.edge_neighbors + atom)
        assert torch.equal(whole.edge_images[start:stop], batch.edge_images)
        assert torch.equal(whole.edge_distances[start:stop], batch.edge_distances)
    assert len(whole.edge_centers) == first_edges[-1]


def test_a_batch_owns_its_memory_and_moves_as_a_whole(store_of, random_crystals, tmp_path) -> None:
    make = batches_of(store_of(random_crystals(2)), tmp_path)
    batch = make(np.array([0, 1]))
    batch.edge_distances.zero_()
    assert make(np.array([0, 1])).edge_distances.min() > 0
    moved = make(np.array([0, 1])).to("cpu", torch.float64)
    assert isinstance(moved, GraphBatch)
    assert moved.edge_distances.dtype == torch.float64
    assert moved.edge_neighbors.dtype == torch.int64


def test_targets_of_another_store_are_refused(store_of, random_crystals, tmp_path) -> None:
    store = store_of(random_crystals(3))
    with pytest.raises(ValueError, match=r"scaled_targets: expected \(3, targets\), got \(2, 1\)"):
        KNearestBatches(store, np.zeros((2, 1)), tmp_path)
