"""The annotated shapes of the baselines are executed in the tests."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from baselines.features.gaussians import GaussianGrid
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.radius import WithinRadius
from baselines.schnet import Interaction


@pytest.fixture
def batch(store_of, random_crystals) -> GraphBatch:
    store = store_of(random_crystals(2, smallest=3))
    return GraphBatches(store, np.zeros((2, 1)), None, WithinRadius(4.0))(np.arange(2))


def test_fields_of_a_batch_agree_with_those_it_inherits(batch) -> None:
    with pytest.raises(TypeCheckError, match="edge_counts"):
        replace(batch, edge_counts=batch.edge_counts[1:])
    with pytest.raises(TypeCheckError, match="edge_distances"):
        replace(batch, edge_distances=batch.edge_distances[1:])


def test_edges_of_a_layer_must_be_as_many_everywhere(batch) -> None:
    layer, edges = Interaction(8, 8, 5), len(batch.edge_centers)
    x, gaussians, cutoff = torch.ones(len(batch.numbers), 8), torch.ones(3, 5), torch.ones(3, 1)
    rows = torch.zeros(edges, dtype=torch.int64)
    assert layer(x, gaussians, cutoff, rows, batch).shape == x.shape
    with pytest.raises(TypeCheckError, match="cutoff"):
        layer(x, gaussians, cutoff[1:], rows, batch)


def test_a_result_is_checked(monkeypatch) -> None:
    monkeypatch.setattr(torch.Tensor, "exp_", lambda self: self[..., 1:])
    with pytest.raises(TypeCheckError, match="return value"):
        GaussianGrid(0.0, 1.0, 4)(torch.zeros(3))


def test_arrays_are_checked_as_well() -> None:
    with pytest.raises(TypeCheckError, match="numbers"):
        WithinRadius(4.0).edges(4 * np.eye(3), np.zeros((1, 3)), np.ones(1))
