"""SchNet against the one of PyTorch Geometric, which is fed with the same periodic edges."""

import math

import numpy as np
import pytest
import torch

from baselines.graphs.batch import GraphBatches
from baselines.graphs.radius import WithinRadius
from baselines.schnet import SchNet, SchNetConfig
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.store_writer import write_store

torch_geometric = pytest.importorskip("torch_geometric", reason="make test-oracles installs it")


def crystals() -> list[Crystal]:
    """Of 1 to 9 atoms at 15 Å³ each; the last has an atom without neighbours."""
    rng = np.random.default_rng(4)
    made = []
    for place, atoms in enumerate((1, 2, 5, 9)):
        lattice = (np.eye(3) + rng.uniform(-0.2, 0.2, size=(3, 3))) * (15 * atoms) ** (1 / 3)
        numbers = rng.integers(1, 100, size=atoms)
        made.append(Crystal(f"c{place}", lattice, rng.random((atoms, 3)), numbers, {}))
    return [*made, Crystal("alone", 20 * np.eye(3), np.zeros((1, 3)), np.array([8]), {})]


@pytest.mark.parametrize("readout", ["mean", "sum"])
def test_library_and_model_agree(tmp_path, readout) -> None:
    config = SchNetConfig(node_width=24, filter_width=16, interactions=3, gaussians=11, readout=readout)
    made = crystals()
    store = ArrayStore.open(write_store(tmp_path / "stores", "toy", made, {}, {}))
    make = GraphBatches(store, np.zeros((len(made), 1)), tmp_path, WithinRadius(config.radius))
    batch = make(np.arange(len(made))).to("cpu", torch.float64)
    edges = torch.stack([batch.edge_neighbors, batch.edge_centers])  # from the sender to the receiver

    torch.manual_seed(0)
    theirs = torch_geometric.nn.SchNet(
        hidden_channels=24,
        num_filters=16,
        num_interactions=3,
        num_gaussians=11,
        cutoff=config.radius,
        interaction_graph=lambda positions, crystal: (edges, batch.edge_distances),
        readout=readout,
    ).double()
    # Constants that are in single precision otherwise.
    centers = torch.linspace(0, config.radius, 11, dtype=torch.float64)
    theirs.distance_expansion.offset.copy_(centers)
    theirs.distance_expansion.coeff = -0.5 / float(centers[1]) ** 2
    for module in theirs.modules():
        if hasattr(module, "shift"):
            module.shift = math.log(2)
    for parameter in theirs.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)  # biases start at 0
    model = SchNet(config).double()
    names = {
        "filter_hidden": "mlp.0",
        "filter_output": "mlp.2",
        "into": "conv.lin1",
        "out_hidden": "conv.lin2",
        "out": "lin",
    }
    state = theirs.state_dict()
    for ours, name in [("embedding", "embedding"), ("hidden", "lin1"), ("output", "lin2")]:
        model.get_submodule(ours).load_state_dict(taken(state, name))
    for place, interaction in enumerate(model.interactions):
        for ours, name in names.items():
            interaction.get_submodule(ours).load_state_dict(taken(state, f"interactions.{place}.{name}"))

    expected = theirs(batch.numbers, batch.positions, batch.crystal_of_atom)
    result = model(batch)
    torch.testing.assert_close(result, expected, rtol=1e-11, atol=1e-12)
    expected.square().sum().backward()
    result.square().sum().backward()
    ours = model.interactions[1].filter_hidden.weight.grad
    torch.testing.assert_close(ours, theirs.interactions[1].mlp[0].weight.grad, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        model.embedding.weight.grad, theirs.embedding.weight.grad, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(("width", "count"), [(128, 455_809), (64, 127_553)])
def test_parameters_are_as_many(width, count) -> None:
    theirs = torch_geometric.nn.SchNet(
        hidden_channels=width, num_filters=width, interaction_graph=lambda *_: None
    )
    assert sum(parameter.numel() for parameter in theirs.parameters()) == count
    model = SchNet(SchNetConfig(node_width=width, filter_width=width))
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def taken(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
