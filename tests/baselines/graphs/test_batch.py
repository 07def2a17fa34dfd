"""Batches of graphs: the edges of a crystal are the same wherever in a batch it stands."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.nearest import KNearest
from baselines.graphs.radius import WithinRadius
from crystalformer.data.crystal import Crystal


def batches_of(store, cache, neighbours: int = 12) -> GraphBatches:
    return GraphBatches(store, np.arange(len(store), dtype=float)[:, None], cache, KNearest(neighbours, 8.0))


def test_edges_join_atoms_at_their_distance(store_of, random_crystals, tmp_path) -> None:
    store = store_of(random_crystals(5))
    batch = batches_of(store, tmp_path)(np.array([3, 0, 4]))
    assert isinstance(batch, GraphBatch)
    assert batch.sizes.tolist() == store.sizes[[3, 0, 4]].tolist()
    assert batch.targets.tolist() == [[3.0], [0.0], [4.0]]
    crystal = batch.crystal_of_atom
    assert torch.equal(crystal[batch.edge_centers], crystal[batch.edge_neighbors])
    assert torch.equal(batch.edge_centers, torch.arange(len(batch.numbers)).repeat_interleave(12))
    assert batch.edge_counts.tolist() == [12] * len(batch.numbers)
    torch.testing.assert_close(batch.edge_vectors().norm(dim=1), batch.edge_distances, rtol=0, atol=1e-5)


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
        GraphBatches(store, np.zeros((2, 1)), tmp_path, KNearest(12, 8.0))


def test_atoms_may_have_any_number_of_edges(store_of, random_crystals, tmp_path) -> None:
    lonely = Crystal("lonely", 20 * np.eye(3), np.zeros((1, 3)), np.array([3]), {})
    store = store_of([*random_crystals(3), lonely])
    make = GraphBatches(store, np.zeros((4, 1)), tmp_path, WithinRadius(3.5))
    batch = make(np.array([2, 3, 0]))
    assert batch.edge_counts[store.sizes[2]] == 0
    assert torch.equal(torch.repeat_interleave(batch.edge_counts), batch.edge_centers)
    torch.testing.assert_close(batch.edge_vectors().norm(dim=1), batch.edge_distances, rtol=0, atol=1e-5)


def test_what_cannot_be_represented_is_named(store_of, random_crystals, tmp_path) -> None:
    lonely = Crystal("lonely", 20 * np.eye(3), np.zeros((1, 3)), np.array([3]), {})
    heavy = Crystal("heavy", 3 * np.eye(3), np.zeros((1, 3)), np.array([101]), {})
    store = store_of([*random_crystals(1), lonely, heavy])
    rule = WithinRadius(4.0, isolated_atoms=False)
    make = GraphBatches(store, np.zeros((3, 1)), tmp_path, rule, last_element=100)
    assert sorted(make.failures) == [1, 2]
    assert make.failures[2] == "expected elements up to Z = 100, got Z = 101"
    assert len(make(np.array([0]))) == 1
    for row, message in (
        (1, "crystal lonely: expected a neighbour"),
        (2, "crystal heavy: expected elements"),
    ):
        with pytest.raises(ValueError, match=message):
            make(np.array([0, row]))
