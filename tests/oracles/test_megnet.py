"""Blocks of MEGNet against those of MatGL, which activates the last layer of its updates."""

import numpy as np
import pytest
import torch

from baselines.graphs.batch import GraphBatches
from baselines.graphs.radius import WithinRadius
from baselines.megnet import Block, Layers, MEGNet, MEGNetConfig
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.store_writer import write_store

pytest.importorskip("matgl", reason="make test-oracles installs it")
layers = pytest.importorskip("matgl.layers")
convolutions = pytest.importorskip("matgl.layers._graph_convolution")

CONFIG = MEGNetConfig(hidden_width=7, width=5, activates_updates=True)


def copy_layers(ours: Layers, theirs: torch.nn.Module, order: list[int] | None = None) -> None:
    """Weights of MatGL's MLP; block k of its first input columns is block order[k] of ours."""
    linear = [layer for layer in theirs.layers if isinstance(layer, torch.nn.Linear)]
    for mine, layer in zip([ours.first, *ours.rest], linear, strict=True):
        mine.load_state_dict(layer.state_dict())
    if order is not None:
        parts = linear[0].weight.chunk(len(order), dim=1)
        ours.first.weight.data = torch.cat([parts[k] for k in order], dim=1).detach().clone()


@pytest.mark.parametrize("first", [True, False])
def test_library_and_block_agree(tmp_path, first) -> None:
    rng = np.random.default_rng(4)
    crystals = []
    for place, atoms in enumerate((1, 3, 6)):
        lattice = (np.eye(3) + rng.uniform(-0.2, 0.2, size=(3, 3))) * (15 * atoms) ** (1 / 3)
        numbers = rng.integers(1, 90, size=atoms)
        crystals.append(Crystal(f"c{place}", lattice, rng.random((atoms, 3)), numbers, {}))
    store = ArrayStore.open(write_store(tmp_path / "stores", "toy", crystals, {}, {}))
    batch = GraphBatches(store, np.zeros((3, 1)), tmp_path, WithinRadius(4.0))(np.arange(3))

    torch.manual_seed(0)
    widths = [5] if first else [5, 7, 5]
    activation = layers.ActivationFunction["softplus2"].value()
    theirs = convolutions.MEGNetBlock(widths, [7, 7, 5], activation).double()
    ours = Block(CONFIG, first).double()
    if not first:
        copy_layers(ours.atom_dense, theirs.node_func)
        copy_layers(ours.bond_dense, theirs.edge_func)
        copy_layers(ours.state_dense, theirs.state_func)
    copy_layers(ours.bond_update, theirs.conv.edge_func)
    copy_layers(ours.atom_update, theirs.conv.node_func, [1, 0, 2])  # theirs begins with v
    copy_layers(ours.state_update, theirs.conv.state_func, [1, 2, 0])  # theirs begins with u

    draw = {"dtype": torch.float64, "requires_grad": True}
    v, e = torch.randn(10, 5, **draw), torch.randn(len(batch.edge_centers), 5, **draw)
    u = torch.randn(3, 5, **draw)
    index = torch.stack([batch.edge_centers, batch.edge_neighbors])
    crystal = batch.crystal_of_atom
    expected = theirs(index, e, v, u, crystal, crystal[batch.edge_centers], 10, 3)
    bonds = torch.bincount(crystal[batch.edge_centers], minlength=3)
    v_new, e_new, u_new = ours(v, e, u, batch, bonds)
    for mine, other in zip((e_new, v_new, u_new), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)
    mine = torch.autograd.grad((v_new**2).sum() + (e_new**2).sum() + (u_new**2).sum(), (v, e, u))
    other = torch.autograd.grad(sum((value**2).sum() for value in expected), (v, e, u))
    for pair in zip(mine, other, strict=True):
        torch.testing.assert_close(*pair, rtol=1e-11, atol=1e-11)


def test_library_and_gaussians_agree() -> None:
    """The width of MatGL is the factor in the exponent: by default 1/2, where the published code has 4."""
    theirs = layers.BondExpansion(rbf_type="Gaussian", initial=0.0, final=5.0, num_centers=100, width=4.0)
    distances = torch.linspace(1.0, 4.0, 40, dtype=torch.float64)
    expected = theirs.double()(distances)
    ours = MEGNet(MEGNetConfig()).grid(distances)
    torch.testing.assert_close(ours, expected, rtol=0, atol=2e-6)  # its centres are in single precision
