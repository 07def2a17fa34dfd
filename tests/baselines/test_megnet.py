"""MEGNet against a float64 oracle in NumPy, and what is special about it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from periodic_neighbors import periodic_neighbors

from baselines.features.set2set import Set2Set
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.radius import WithinRadius
from baselines.megnet import ENTRY, MEGNet, MEGNetConfig
from crystalformer.data.crystal import Crystal

SMALL = MEGNetConfig(embedding_width=4, hidden_width=7, width=5, readout_width=3, blocks=2, gaussians=6)


def batch_of(store, cache, radius: float = 4.0) -> GraphBatch:
    make = GraphBatches(store, np.zeros((len(store), 1)), cache, WithinRadius(radius))
    return make(np.arange(len(store))).to("cpu", torch.float64)


def model_of(config: MEGNetConfig) -> MEGNet:
    """A model in float64 with weights of which none is 0, large enough for hard sigmoids to be clipped."""
    torch.manual_seed(0)
    model = MEGNet(config).double()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    for readout in (model.atom_readout, model.bond_readout):
        readout.gates.bias.data *= 4
    return model


# --- the oracle: one crystal, one atom, one bond at a time -------------------------------------------


def zeta(x: np.ndarray) -> np.ndarray:
    return np.log(np.exp(x) + 1) - np.log(2)


def clipped(x: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(0.2 * x + 0.5, 0), 1)


class Oracle:
    """The published forward pass for one crystal."""

    def __init__(self, model: MEGNet) -> None:
        self.state = {name: value.double().numpy() for name, value in model.state_dict().items()}
        self.config = model.config

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.state[f"{name}.weight"] @ x + self.state[f"{name}.bias"]

    def layers(self, name: str, x: np.ndarray, activates_last: bool = True) -> np.ndarray:
        x = self.linear(f"{name}.first", x)
        place = 0
        while f"{name}.rest.{place}.weight" in self.state:
            x = self.linear(f"{name}.rest.{place}", zeta(x))
            place += 1
        return zeta(x) if activates_last else x

    def set2set(self, name: str, rows: list[np.ndarray]) -> np.ndarray:
        m = [self.linear(f"{name}.project", row) for row in rows]
        n = self.config.readout_width
        q_star, cell = np.zeros(2 * n), np.zeros(n)
        for _ in range(self.config.readout_steps):
            z = self.linear(f"{name}.gates", q_star)
            cell = clipped(z[n : 2 * n]) * (cell if self.config.carries_cell else 0)
            cell = cell + clipped(z[:n]) * np.tanh(z[2 * n : 3 * n])
            q = clipped(z[3 * n :]) * np.tanh(cell)
            weights = np.array([np.exp(row @ q) for row in m])
            read = sum(w * row for w, row in zip(weights / weights.sum(), m, strict=True))
            q_star = np.concatenate([q, read])
        return q_star

    def __call__(self, crystal: Crystal) -> np.ndarray:
        config = self.config
        centers = np.linspace(0, config.last_center, config.gaussians)
        bonds = [
            (i, j, d) for i, row in enumerate(periodic_neighbors(crystal, config.radius)) for d, j, _ in row
        ]
        v = [self.layers("atom_layers", self.state["embedding.weight"][z]) for z in crystal.numbers]
        e = [
            self.layers("bond_layers", np.exp(-((d - centers) ** 2) / config.gaussian_width**2))
            for *_, d in bonds
        ]
        u = self.layers("state_layers", np.zeros(2))
        for block in range(config.blocks):
            before, name, last = (v, e, u), f"blocks.{block}", config.activates_updates
            if block:
                v = [self.layers(f"{name}.atom_dense", x) for x in v]
                e = [self.layers(f"{name}.bond_dense", x) for x in e]
                u = self.layers(f"{name}.state_dense", u)
            e = [
                self.layers(f"{name}.bond_update", np.concatenate([v[i], v[j], x, u]), last)
                for (i, j, _), x in zip(bonds, e, strict=True)
            ]
            mine = [
                np.mean([x for (i, *_), x in zip(bonds, e, strict=True) if i == a], 0) for a in range(len(v))
            ]
            v = [
                self.layers(f"{name}.atom_update", np.concatenate([mean, x, u]), last)
                for mean, x in zip(mine, v, strict=True)
            ]
            means = [np.mean(e, axis=0), np.mean(v, axis=0), u]
            u = self.layers(f"{name}.state_update", np.concatenate(means), last)
            v = [old + new for old, new in zip(before[0], v, strict=True)]
            e = [old + new for old, new in zip(before[1], e, strict=True)]
            u = before[2] + u
        read = [self.set2set("atom_readout", v), self.set2set("bond_readout", e), u]
        return self.layers("output", np.concatenate(read), activates_last=False)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, blocks=1, radius=4.5, gaussian_width=0.7, last_center=4.0, targets=2),
        replace(SMALL, blocks=3, activates_updates=True, carries_cell=True, readout_steps=4),
    ],
)
def test_forward_agrees_with_the_oracle(store_of, random_crystals, tmp_path, config) -> None:
    crystals = [
        replace(crystal, numbers=crystal.numbers % 94 + 1)
        for crystal in random_crystals(4, seed=1, largest=4)
    ]
    batch = batch_of(store_of(crystals), tmp_path, config.radius)
    exact = [d for crystal in crystals for row in periodic_neighbors(crystal, config.radius) for d, *_ in row]
    np.testing.assert_allclose(batch.edge_distances, exact, rtol=2e-7)

    model = model_of(config)
    expected = np.array([Oracle(model)(crystal) for crystal in crystals])
    result = model(replace(batch, edge_distances=torch.tensor(exact, dtype=torch.float64)))
    assert result.shape == (len(crystals), config.targets)
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-9)


# --- Set2Set -----------------------------------------------------------------------------------------------


def test_without_a_carried_cell_the_forget_gate_has_no_effect() -> None:
    torch.manual_seed(0)
    x, sizes = torch.randn(7, 4, dtype=torch.float64), torch.tensor([3, 4])
    changes = []
    for carries_cell in (False, True):
        layer = Set2Set(4, 3, steps=3, carries_cell=carries_cell).double()
        before = layer(x, sizes)
        layer.gates.weight.data.chunk(4)[1].normal_()
        changes.append((layer(x, sizes) - before).abs().max().item())
    assert changes[0] == 0
    assert changes[1] > 1e-3


def test_a_set_is_read_alone_and_an_empty_one_as_nothing() -> None:
    torch.manual_seed(0)
    layer = Set2Set(4, 3, steps=3, carries_cell=True).double()
    x = 50 * torch.randn(5, 4, dtype=torch.float64)  # the exponentials overflow, if not shifted
    together = layer(x, torch.tensor([2, 0, 3]))
    torch.testing.assert_close(together[0], layer(x[:2], torch.tensor([2]))[0])
    torch.testing.assert_close(together[2], layer(x[2:].flip(0), torch.tensor([3]))[0])
    assert not together[1, 3:].any()
    assert torch.isfinite(together).all()


# --- facts about the published model -------------------------------------------------------------------


def test_parameter_counts() -> None:
    def count(config: MEGNetConfig) -> int:
        return sum(parameter.numel() for parameter in MEGNet(config).parameters() if parameter.requires_grad)

    assert count(MEGNetConfig()) == 167_761  # the published code with its defaults
    assert count(MEGNetConfig(blocks=2)) == 167_761 - 39_392 - 12_576


def test_initial_weights_are_those_of_keras() -> None:
    torch.manual_seed(0)
    model = MEGNet(MEGNetConfig())
    assert 0.0499 < model.embedding.weight.abs().max() <= 0.05
    first = model.blocks[0].bond_update.first
    assert 0.98 < first.weight.abs().max() / np.sqrt(6 / (128 + 64)) <= 1
    gates = model.atom_readout.gates
    torch.testing.assert_close(gates.weight.T @ gates.weight, torch.eye(32))
    biases = {name: value for name, value in model.named_parameters() if name.endswith("bias")}
    assert {name for name, value in biases.items() if value.any()} == {
        "atom_readout.gates.bias",
        "bond_readout.gates.bias",
    }
    assert gates.bias.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32


# --- what it cannot represent -----------------------------------------------------------------------------


def test_isolated_atoms_and_heavy_elements_are_failures(store_of, random_crystals, tmp_path) -> None:
    alone = Crystal("alone", 20 * np.eye(3), np.zeros((1, 3)), np.array([8]), {})
    heavy = Crystal("heavy", 3 * np.eye(3), np.zeros((1, 3)), np.array([95]), {})
    store = store_of([alone, heavy, Crystal("fine", 3 * np.eye(3), np.zeros((1, 3)), np.array([94]), {})])
    batches = ENTRY.batches(store, np.zeros((3, 1)), MEGNetConfig(), tmp_path)
    assert batches.failures == {
        0: "expected a neighbour within 4 Å of every atom, atom 0 has none",
        1: "expected elements up to Z = 94, got Z = 95",
    }
    assert torch.isfinite(MEGNet(SMALL)(batches(np.array([2])))).all()
    with pytest.raises(ValueError, match="numbers: MEGNet expected elements up to Z = 94, got Z = 95"):
        MEGNet(SMALL).double()(batch_of(store, tmp_path))


def test_an_isolated_atom_has_a_mean_of_nothing(store_of, tmp_path) -> None:
    """Such crystals are left out, but a graph of another rule may have them."""
    alone = Crystal("alone", 20 * np.eye(3), np.zeros((1, 3)), np.array([8]), {})
    model = model_of(SMALL)
    model(batch_of(store_of([alone]), tmp_path)).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("blocks", 0, "blocks: expected a whole number of at least 1, got 0"),
        ("width", 1.5, r"width: expected a whole number of at least 1, got 1\.5"),
        ("readout_steps", True, "readout_steps: expected a whole number of at least 1, got True"),
        ("gaussians", 1, "gaussians: expected a whole number of at least 2, got 1"),
        ("radius", -4.0, r"radius: expected a length above 0 Å, got -4\.0"),
        ("gaussian_width", 0.0, r"gaussian_width: expected a length above 0 Å, got 0\.0"),
    ],
)
def test_bad_settings_are_named(name, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        MEGNetConfig(**{name: value})
