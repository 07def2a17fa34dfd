"""SchNet against a float64 oracle in NumPy, and what is special about it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from periodic_neighbors import periodic_neighbors

from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.radius import WithinRadius
from baselines.schnet import FilteredSum, SchNet, SchNetConfig
from crystalformer.data.crystal import Crystal

SMALL = SchNetConfig(node_width=8, filter_width=6, interactions=2, gaussians=7)


def batch_of(store, cache, radius: float) -> GraphBatch:
    make = GraphBatches(store, np.zeros((len(store), 1)), cache, WithinRadius(radius))
    return make(np.arange(len(store))).to("cpu", torch.float64)


def model_of(config: SchNetConfig) -> SchNet:
    """A model in float64 whose biases, which start at 0, count."""
    torch.manual_seed(0)
    model = SchNet(config).double()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_()
    return model


# --- the oracle: one atom and one edge at a time ---------------------------------------------------------


def ssp(x: np.ndarray) -> np.ndarray:
    return np.log(0.5 * np.exp(x) + 0.5)


def oracle(model: SchNet, crystal: Crystal) -> np.ndarray:
    """The prediction for one crystal, from the paper's equations."""
    state = {name: value.double().numpy() for name, value in model.state_dict().items()}
    config = model.config
    centers = np.linspace(0, config.radius, config.gaussians)

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return state[f"{name}.weight"] @ x + state.get(f"{name}.bias", 0.0)

    rows = periodic_neighbors(crystal, config.radius)
    x = [state["embedding.weight"][number] for number in crystal.numbers]
    for layer in range(config.interactions):
        name = f"interactions.{layer}"
        gains = []
        for row in rows:
            v = np.zeros(config.filter_width)
            for d, j, _ in row:
                e = np.exp(-((d - centers) ** 2) / (2 * (centers[1] - centers[0]) ** 2))
                w = linear(f"{name}.filter_output", ssp(linear(f"{name}.filter_hidden", e)))
                w = w * 0.5 * (np.cos(np.pi * d / config.radius) + 1)
                v = v + linear(f"{name}.into", x[j]) * w
            gains.append(linear(f"{name}.out", ssp(linear(f"{name}.out_hidden", v))))
        x = [before + gain for before, gain in zip(x, gains, strict=True)]
    atoms = np.array([linear("output", ssp(linear("hidden", row))) for row in x])
    return atoms.mean(axis=0) if config.readout == "mean" else atoms.sum(axis=0)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        SchNetConfig(node_width=5, filter_width=9, interactions=1, gaussians=20, radius=4.0, targets=2),
        replace(SMALL, readout="sum"),
    ],
)
def test_forward_agrees_with_the_oracle(store_of, random_crystals, tmp_path, config) -> None:
    crystals = [crystal for crystal in random_crystals(4, seed=1, largest=4) if max(crystal.numbers) < 100]
    alone = Crystal("alone", 20 * np.eye(3), np.zeros((1, 3)), np.array([8]), {})
    crystals = [*crystals, alone]
    batch = batch_of(store_of(crystals), tmp_path, config.radius)
    exact = [d for crystal in crystals for row in periodic_neighbors(crystal, config.radius) for d, *_ in row]
    np.testing.assert_allclose(batch.edge_distances, exact, rtol=2e-7)

    model = model_of(config)
    expected = np.array([oracle(model, crystal) for crystal in crystals])
    result = model(replace(batch, edge_distances=torch.tensor(exact, dtype=torch.float64)))
    assert result.shape == (len(crystals), config.targets)
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-10)


# --- the message sum ---------------------------------------------------------------------------------------


def test_gradients_of_the_message_sum(store_of, random_crystals, tmp_path) -> None:
    """Edges with one distance share a filter: their gradients are added."""
    cubic = Crystal("cubic", 4 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([3, 9]), {})
    batch = batch_of(store_of([cubic, *random_crystals(1, smallest=3)]), tmp_path, 3.6)
    distances, rows = torch.unique(batch.edge_distances, return_inverse=True)
    assert len(distances) < len(rows) / 2
    torch.manual_seed(0)
    y = torch.randn(len(batch.numbers), 3, dtype=torch.float64, requires_grad=True)
    filters = torch.randn(len(distances), 3, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda y, filters: FilteredSum.apply(y, filters, rows, batch), (y, filters))


# --- facts about the published model -------------------------------------------------------------------


def test_parameter_counts() -> None:
    def count(config: SchNetConfig) -> int:
        return sum(parameter.numel() for parameter in SchNet(config).parameters() if parameter.requires_grad)

    assert count(SchNetConfig()) == 455_809  # the defaults of PyTorch Geometric and SchNetPack
    assert count(SchNetConfig(node_width=64, filter_width=64)) == 127_553


def test_an_atom_at_the_cutoff_sends_nothing(store_of, tmp_path) -> None:
    model = model_of(SMALL)
    results = []
    for edge in (5.0 - 1e-4, 5.0 + 1e-4):  # six neighbours, or none
        crystal = Crystal("cubic", edge * np.eye(3), np.zeros((1, 3)), np.array([11]), {})
        batch = batch_of(store_of([crystal]), tmp_path / str(edge), 5.0)
        results.append((len(batch.edge_distances), model(batch).item()))
    (six, near), (none, far) = results
    assert (six, none) == (6, 0)
    assert near == pytest.approx(far, abs=1e-6)


# --- errors ----------------------------------------------------------------------------------------------


def test_elements_beyond_the_table_are_refused(store_of, random_crystals, tmp_path) -> None:
    [crystal] = random_crystals(1, smallest=3)
    batch = batch_of(store_of([replace(crystal, numbers=np.full(len(crystal.numbers), 100))]), tmp_path, 5.0)
    with pytest.raises(ValueError, match="numbers: SchNet expected elements up to Z = 99, got Z = 100"):
        SchNet(SMALL)(batch)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("node_width", 1, "node_width: expected a whole number of at least 2, got 1"),
        ("filter_width", 0, "filter_width: expected a whole number of at least 1, got 0"),
        ("interactions", True, "interactions: expected a whole number of at least 1, got True"),
        ("gaussians", 1, "gaussians: expected a whole number of at least 2, got 1"),
        ("radius", 0.0, r"radius: expected a length above 0 Å, got 0\.0"),
        ("readout", "max", "readout: expected 'mean' or 'sum', got 'max'"),
        ("targets", 1.0, r"targets: expected a whole number of at least 1, got 1\.0"),
    ],
)
def test_bad_settings_are_named(name, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        SchNetConfig(**{name: value})
