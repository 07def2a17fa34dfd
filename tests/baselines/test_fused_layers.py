"""Layers with a backward pass of their own against the plain formulas, differentiated by PyTorch."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from baselines.features import norm_silu
from baselines.features.edge_gates import gated_mean
from baselines.features.norm_silu import NormSiLU
from baselines.graphs.adjacency import reverse_edges
from baselines.graphs.batch import GraphBatches
from baselines.graphs.edge_tile import EdgeTile
from baselines.graphs.line_graph import line_graph
from baselines.graphs.shells import NearestShells


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def assert_same_gradients(ours: torch.Tensor, theirs: torch.Tensor, inputs) -> None:
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(ours)
    both = zip(
        torch.autograd.grad((ours * weights).sum(), inputs),
        torch.autograd.grad((theirs * weights).sum(), inputs),
        strict=True,
    )
    for a, b in both:
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("skipped", [True, False])
def test_norm_and_silu_are_those_of_pytorch(training, skipped, monkeypatch) -> None:
    monkeypatch.setattr(norm_silu, "PORTION", 35)  # seven rows
    torch.manual_seed(0)
    layer = NormSiLU(5).double().train(training)
    with torch.no_grad():
        for value in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
            value.copy_(torch.rand_like(value) + 0.5)
    plain = torch.nn.BatchNorm1d(5).double().train(training)
    plain.load_state_dict(layer.state_dict())
    x, skip = random(24, 5), random(24, 5)
    ours = layer(x, skip=skip if skipped else None)
    y = F.batch_norm(x, plain.running_mean, plain.running_var, layer.weight, layer.bias, training, 0.1)
    theirs = F.silu(y) + (skip if skipped else 0)
    inputs = [x, layer.weight, layer.bias, *([skip] if skipped else [])]
    assert_same_gradients(ours, theirs, inputs)
    torch.testing.assert_close(layer.running_mean, plain.running_mean)
    torch.testing.assert_close(layer.running_var, plain.running_var)


def test_counted_rows_are_repeated_rows(monkeypatch) -> None:
    monkeypatch.setattr(norm_silu, "PORTION", 35)
    torch.manual_seed(0)
    layer = NormSiLU(5).double()
    other = copy.deepcopy(layer)
    x, counts = random(20, 5), torch.randint(1, 4, (20,))
    ours = layer(x, counts.double()).repeat_interleave(counts, dim=0)
    theirs = other(x.repeat_interleave(counts, dim=0))
    assert_same_gradients(ours, theirs, [x])
    torch.testing.assert_close(layer.running_mean, other.running_mean)
    torch.testing.assert_close(layer.running_var, other.running_var)


def test_variance_of_small_differences_between_large_numbers() -> None:
    torch.manual_seed(0)
    x = 1000 + torch.randn(3000, 4)
    mean, variance = norm_silu.moments(x, None)
    np.testing.assert_allclose(mean, x.double().mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, x.double().var(0, correction=0), rtol=1e-3)


def test_a_single_row_is_normalised_by_the_running_statistics() -> None:
    layer = NormSiLU(3)
    x = torch.randn(1, 3)
    result = layer.train()(x)
    assert torch.equal(result, layer.eval()(x))
    assert torch.equal(layer.running_mean, torch.zeros(3))


@pytest.mark.parametrize("kind", ["edges", "pairs", "symmetric pairs"])
def test_gated_means_are_the_formula(store_of, random_crystals, tmp_path, kind) -> None:
    store = store_of(random_crystals(3, largest=3))
    batch = GraphBatches(store, np.zeros((3, 1)), tmp_path, NearestShells(3))(np.arange(3))
    reverses = reverse_edges(batch)
    lines = line_graph(batch.edge_counts, reverses)
    torch.manual_seed(0)
    if kind == "edges":
        nodes, j, i = len(batch.numbers), batch.edge_neighbors, batch.edge_centers
        tiles = [EdgeTile(batch, reverses)]
        whole = z = random(len(i), 4)
    else:
        tiles = lines.tiles if kind == "pairs" else lines.symmetric
        nodes, numbers = len(batch.edge_centers), torch.arange(len(batch.edge_centers))[:, None]
        j, i = (
            torch.cat([ends(tile).expand(*tile.shape, 1).flatten() for tile in tiles])
            for ends in (lambda tile: tile.at_sources(numbers), lambda tile: tile.at_targets(numbers))
        )
        whole = z = random(lines.pairs, 4)
        if kind == "symmetric pairs":
            z = random(lines.symmetric[-1].half_rows.stop, 4)
            whole = lines.unfold(z)
    weight, a, b, v = random(5, 4), random(nodes, 5), random(nodes, 5), random(nodes, 5)

    def plain() -> tuple[torch.Tensor, torch.Tensor]:
        m = a[j] + b[i] + (whole if z is whole else lines.unfold(z)) @ weight.T
        gates, zeros = torch.sigmoid(m), torch.zeros(nodes, 5, dtype=torch.float64)
        return zeros.index_add(0, i, gates * v[j]) / (zeros.index_add(0, i, gates) + 1e-6), m

    inputs = [z, weight, a, b, v]
    assert_same_gradients(torch.cat(gated_mean(*inputs, tiles)), torch.cat(plain()), inputs)
    assert_same_gradients(gated_mean(*inputs, tiles)[0], plain()[0], inputs)  # of h alone
    assert_same_gradients(gated_mean(*inputs, tiles)[1], plain()[1], inputs[:-1])  # of m alone
