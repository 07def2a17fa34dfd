"""Parts of M3GNet against those of MatGL, which lists triplets one by one; its gated layers are given two."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.features.bessel import smooth_bessel
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.radius import WithinRadius
from baselines.m3gnet import Angles, Block, GatedLayers, M3GNet, M3GNetConfig
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.store_writer import write_store
from crystalformer.layers.segments import segment_sum

pytest.importorskip("matgl", reason="make test-oracles installs it")
layers = pytest.importorskip("matgl.layers")
convolutions = pytest.importorskip("matgl.layers._graph_convolution")
readouts = pytest.importorskip("matgl.layers._readout_torch")
graphs = pytest.importorskip("matgl.graph._compute")
cutoffs = pytest.importorskip("matgl.utils.cutoff")

CONFIG = M3GNetConfig(width=6, activates_atom_weights=False)


@pytest.fixture
def batch(tmp_path) -> GraphBatch:
    """Crystals of 1 to 6 atoms at 15 Å³ each, in double precision."""
    rng = np.random.default_rng(4)
    crystals = []
    for place, atoms in enumerate((1, 3, 6)):
        lattice = (np.eye(3) + rng.uniform(-0.2, 0.2, size=(3, 3))) * (15 * atoms) ** (1 / 3)
        numbers = rng.integers(1, 90, size=atoms)
        crystals.append(Crystal(f"c{place}", lattice, rng.random((atoms, 3)), numbers, {}))
    store = ArrayStore.open(write_store(tmp_path / "stores", "toy", crystals, {}, {}))
    make = GraphBatches(store, np.zeros((3, 1)), tmp_path, WithinRadius(CONFIG.radius))
    batch = make(np.arange(3)).to("cpu", torch.float64)
    return replace(batch, edge_distances=batch.edge_vectors().norm(dim=1))  # not rounded


@pytest.fixture(autouse=True)
def double_precision():
    """MatGL keeps constants in the default precision."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def copy_gated(ours: GatedLayers, theirs: torch.nn.Module) -> None:
    """Weights of a GatedMLP of two layers."""
    first = [theirs.layers[0], theirs.gates[0]]
    ours.first.linear.weight.data = torch.cat([layer.weight for layer in first]).detach().clone()
    ours.first.linear.bias.data = torch.cat([layer.bias for layer in first]).detach().clone()
    ours.value.load_state_dict(theirs.layers[2].state_dict())
    ours.gate.load_state_dict(theirs.gates[2].state_dict())


def test_library_and_block_agree(batch) -> None:
    width = CONFIG.width
    three = layers.ThreeBodyInteractions(
        layers.MLP([width, 9], torch.nn.Sigmoid(), activate_last=True),
        layers.GatedMLP(9, [width], use_bias=False),
    )
    gated = [layers.GatedMLP(3 * width, [width, width]) for _ in range(2)]
    weights = [torch.nn.Linear(3, width, bias=False) for _ in range(2)]
    convolution = convolutions.M3GNetGraphConv(False, gated[0], weights[0], gated[1], weights[1], None)
    ours = Block(CONFIG)
    ours.triplet_gate.load_state_dict(three.update_network_atom.layers[0].state_dict())
    ours.triplet_value.load_state_dict(three.update_network_bond.layers[0].state_dict())
    ours.triplet_share.load_state_dict(three.update_network_bond.gates[0].state_dict())
    copy_gated(ours.edge_gated, gated[0])
    copy_gated(ours.atom_gated, gated[1])
    ours.edge_weight.load_state_dict(weights[0].state_dict())
    ours.atom_weight.load_state_dict(weights[1].state_dict())

    index = torch.stack([batch.edge_centers, batch.edge_neighbors])
    atoms, edges = len(batch.numbers), len(batch.edge_centers)
    vectors, lengths = batch.edge_vectors(), batch.edge_distances
    triplets = graphs.create_line_graph_torch(index, lengths, vectors, atoms, CONFIG.triplet_radius)
    pairs = triplets["line_edge_index"]
    angles = graphs.compute_theta_and_phi(vectors, lengths, pairs, eps=0.0)
    expand = layers.SphericalBesselWithHarmonics(3, 3, CONFIG.radius, use_smooth=False, use_phi=False)
    basis = expand(angles["triple_bond_lengths"], angles["cos_theta"], angles["phi"])
    cutoff = cutoffs.polynomial_cutoff(lengths, CONFIG.triplet_radius)
    assert pairs.shape[1] > 3 * edges

    v = torch.randn(atoms, width, requires_grad=True)
    e = torch.randn(edges, width, requires_grad=True)
    e_0 = torch.randn(edges, 3)
    e_new = three(index[1], pairs, triplets["n_triple_ij"], edges, basis, cutoff, v, e)
    expected = convolution(index, e_new, v, None, e_0, batch.crystal_of_atom, None, atoms, 3)
    result = ours(v, e, e_0, Angles(batch, CONFIG), batch)
    # The zeros of Bessel functions that MatGL comes with are in single precision.
    torch.testing.assert_close(result[1], expected[0], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(result[0], expected[1], rtol=1e-8, atol=1e-8)
    ours_grad = torch.autograd.grad((result[0] ** 2).sum() + (result[1] ** 2).sum(), (v, e))
    their_grad = torch.autograd.grad((expected[1] ** 2).sum() + (expected[0] ** 2).sum(), (v, e))
    for pair in zip(ours_grad, their_grad, strict=True):
        torch.testing.assert_close(*pair, rtol=1e-7, atol=1e-7)


def test_library_and_radial_basis_agree(batch) -> None:
    theirs = layers.BondExpansion(max_l=3, max_n=3, cutoff=5.0, rbf_type="SphericalBessel", smooth=True)
    result = smooth_bessel(batch.edge_distances, 3, 5.0)
    torch.testing.assert_close(result, theirs(batch.edge_distances), rtol=1e-9, atol=1e-10)


def test_library_and_readout_agree(batch) -> None:
    theirs = readouts.WeightedAtomReadOut(6, [6, 6], torch.nn.SiLU())
    ours = M3GNet(CONFIG)
    for place in (0, 2):
        ours.read[place].load_state_dict(theirs.mlp.layers[place].state_dict())
        ours.weight[place].load_state_dict(theirs.weight.layers[place].state_dict())
    v = torch.randn(len(batch.numbers), 6)
    weight = ours.weight(v)
    result = segment_sum(weight * ours.read(v), batch.sizes) / segment_sum(weight, batch.sizes)
    torch.testing.assert_close(result, theirs(v, batch.crystal_of_atom), rtol=1e-12, atol=1e-12)
