"""Line graphs against a search over all pairs of edges."""

import numpy as np
import pytest
import torch

from baselines.graphs import line_graph as tiling
from baselines.graphs.adjacency import reverse_edges
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.edge_tile import EdgeTile
from baselines.graphs.line_graph import LineGraph, line_graph
from baselines.graphs.nearest import KNearest
from baselines.graphs.shells import NearestShells


@pytest.fixture(params=[60, 1000])
def graph(store_of, random_crystals, tmp_path, monkeypatch, request) -> tuple[GraphBatch, LineGraph]:
    """A batch with one-atom crystals, whose atom is its own neighbour, in small and in large tiles."""
    monkeypatch.setitem(tiling.TILE_PAIRS, "cpu", request.param)
    store = store_of(random_crystals(6, largest=3))
    batch = GraphBatches(store, np.zeros((6, 1)), tmp_path, NearestShells(4))(np.arange(6))
    batch = batch.to("cpu", torch.float64)
    assert 1 in batch.sizes
    return batch, line_graph(batch.edge_counts, reverse_edges(batch))


def test_reverses_lead_back(graph) -> None:
    batch, _ = graph
    reverses = reverse_edges(batch)
    assert reverses.sort().values.tolist() == list(range(len(reverses)))
    assert torch.equal(batch.edge_centers[reverses], batch.edge_neighbors)
    assert torch.equal(batch.edge_images[reverses], -batch.edge_images)
    torch.testing.assert_close(batch.edge_vectors()[reverses], -batch.edge_vectors())


def test_edges_without_reverse_are_refused(store_of, random_crystals, tmp_path) -> None:
    store = store_of(random_crystals(2, smallest=4))
    batch = GraphBatches(store, np.zeros((2, 1)), tmp_path, KNearest(5, 8.0))(np.arange(2))
    with pytest.raises(ValueError, match="expected every edge with its reverse"):
        reverse_edges(batch)


def pair_ends(batch: GraphBatch, lines: LineGraph) -> tuple[torch.Tensor, torch.Tensor]:
    """The edge that sends and the edge that hears, of every row of the tiles."""
    numbers = torch.arange(len(batch.edge_centers))[:, None]
    sends, hears = torch.full((lines.pairs,), -1), torch.full((lines.pairs,), -1)
    for tile in lines.tiles:
        sends[tile.rows] = tile.at_sources(numbers).expand(*tile.shape, 1).flatten()
        hears[tile.rows] = tile.at_targets(numbers).expand(*tile.shape, 1).flatten()
    return sends, hears


def test_every_pair_is_there_once(graph) -> None:
    batch, lines = graph
    sends, hears = pair_ends(batch, lines)
    pairs = {  # an edge hears of those that arrive at the atom it comes from
        (edge, entry)
        for entry, neighbor in enumerate(batch.edge_neighbors.tolist())
        for edge, center in enumerate(batch.edge_centers.tolist())
        if center == neighbor
    }
    assert set(zip(sends.tolist(), hears.tolist(), strict=True)) == pairs
    assert len(sends) == len(pairs)
    assert len({tile.shape[1] for tile in lines.tiles}) > 1


def test_triangles_stand_for_all_pairs(graph) -> None:
    batch, lines = graph
    sends, hears = pair_ends(batch, lines)
    r = -batch.edge_vectors()  # from the sender to the receiver
    first, second = -r[sends], r[hears]
    expected = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    cosines, counts = lines.cosines(batch.edge_vectors())
    assert counts.sum() == lines.pairs
    assert len(cosines) < lines.pairs
    torch.testing.assert_close(lines.unfold(cosines[:, None])[:, 0], expected)
    torch.testing.assert_close(cosines @ counts, expected.sum())
    back = batch.edge_centers[hears] == batch.edge_neighbors[sends]
    assert (expected[back] > 1 - 1e-12).any()  # going back is an angle of 0


def test_gradients_of_triangles(graph) -> None:
    _, lines = graph
    half = torch.randn(lines.symmetric[-1].half_rows.stop, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(lines.pairs, 2, dtype=torch.float64)
    (grad,) = torch.autograd.grad((lines.unfold(half) * weights).sum(), half)
    direction = torch.randn_like(half)
    torch.testing.assert_close((grad * direction).sum(), (lines.unfold(direction) * weights).sum())


@pytest.mark.parametrize("kind", ["edges", "tiles", "symmetric"])
def test_sums_at_both_ends(graph, kind) -> None:
    batch, lines = graph
    if kind == "edges":
        tiles, nodes = [EdgeTile(batch, reverse_edges(batch))], len(batch.numbers)
        sends, hears = batch.edge_neighbors, batch.edge_centers
    else:
        tiles, nodes = getattr(lines, kind), len(batch.edge_centers)
        sends, hears = pair_ends(batch, lines)
    values = torch.randn(len(sends), 3, dtype=torch.float64)
    at_sources, at_targets = torch.zeros(2, nodes, 3, dtype=torch.float64)
    for tile in tiles:
        block = values[tile.rows].view(*tile.shape, 3)
        tile.add_to_sources(block, at_sources)
        tile.add_to_targets(block, at_targets)
    for result, ends in [(at_sources, sends), (at_targets, hears)]:
        expected = np.zeros((nodes, 3))
        np.add.at(expected, ends.numpy(), values.numpy())
        np.testing.assert_allclose(result, expected, atol=1e-12)
