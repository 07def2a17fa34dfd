"""Features shared by the baselines: Gaussians and edge layers against what they stand for."""

import numpy as np
import pytest
import torch

from baselines.features.edge_linear import EdgeLinear
from baselines.features.gaussians import GaussianGrid
from baselines.graphs.batch import GraphBatches
from baselines.graphs.radius import WithinRadius


def test_gaussians_have_their_centres_and_width() -> None:
    x = torch.linspace(-2, 10, 37, dtype=torch.float64)
    grid = GaussianGrid(0, 8, 5)
    expected = np.exp(-((x.numpy()[:, None] - np.linspace(0, 8, 5)) ** 2) / 2)
    np.testing.assert_allclose(grid(x), expected, rtol=1e-13)
    narrow = GaussianGrid(-1, 1, 3, gamma=7.0)
    expected = np.exp(-7 * (x.numpy()[:, None] - [-1, 0, 1]) ** 2)
    np.testing.assert_allclose(narrow(x), expected, rtol=1e-12, atol=1e-37)


def test_far_from_every_centre_nothing_is_subnormal() -> None:
    values = GaussianGrid(0, 8, 80)(torch.tensor([100.0]))
    assert values.max() < 1e-37
    assert values.min() >= torch.finfo(torch.float32).tiny


@pytest.mark.parametrize("settings", [(0, 8, 1), (8, 0, 10), (1, 1, 2)])
def test_a_grid_without_extent_is_refused(settings) -> None:
    with pytest.raises(ValueError, match="centres: expected at least 2 and low < high"):
        GaussianGrid(*settings)


@pytest.mark.parametrize("bias", [True, False])
def test_an_edge_layer_is_a_linear_layer_of_the_concatenation(
    store_of, random_crystals, tmp_path, bias
) -> None:
    store = store_of(random_crystals(3, smallest=2))
    batch = GraphBatches(store, np.zeros((3, 1)), tmp_path, WithinRadius(4.0))(np.arange(3))
    torch.manual_seed(0)
    layer = EdgeLinear(5, 3, 7, bias=bias).double()
    v = torch.randn(len(batch.numbers), 5, dtype=torch.float64, requires_grad=True)
    e = torch.randn(len(batch.edge_centers), 3, dtype=torch.float64, requires_grad=True)
    i, j = batch.edge_centers, batch.edge_neighbors
    whole = torch.cat([v[i], v[j], e], dim=1)
    expected = layer.linear(whole)
    torch.testing.assert_close(layer(v, e, i, j), expected)
    weights = torch.randn_like(expected)
    parameters = (v, e, *layer.parameters())
    for ours, theirs in zip(
        torch.autograd.grad((layer(v, e, i, j) * weights).sum(), parameters),
        torch.autograd.grad((expected * weights).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
