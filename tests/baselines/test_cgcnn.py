"""CGCNN against a float64 oracle in NumPy, its gradients and its errors; see also the contract of models."""

import hashlib
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from numpy_layers import NumpyLayers, randomise_norms, sigmoid, softplus

from baselines.cgcnn import CGCNN, CGCNNConfig
from baselines.features.atom_table import atom_table
from baselines.features.gaussians import gaussian_count
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.nearest import KNearest
from crystalformer.data.crystal import Crystal

SMALL = CGCNNConfig(node_width=8, conv_layers=2, hidden_width=12)


def batch_of(store, tmp_path, rows=None, neighbours: int = 12) -> GraphBatch:
    targets = np.random.default_rng(0).normal(size=(len(store), 1))
    make = GraphBatches(store, targets, tmp_path / "cache", KNearest(neighbours, 8.0))
    return make(np.arange(len(store)) if rows is None else np.array(rows))


def model_of(config: CGCNNConfig, seed: int = 0) -> CGCNN:
    """A model in float64 whose norms have left their initial values, so that each of them counts."""
    torch.manual_seed(seed)
    model = CGCNN(config).double()
    randomise_norms(model)
    return model


# --- the oracle: one crystal, one atom, one edge at a time -------------------------------------------


def nearest(crystal: Crystal, k: int, radius: float) -> list[list[tuple[float, int]]]:
    """(distance, neighbour) of k edges per atom; absent ones lead to atom 0 at radius + 1."""
    images = np.array(list(product(range(-6, 7), repeat=3)))
    rows = []
    for i, p in enumerate(crystal.frac_coords):
        found = []
        for j, q in enumerate(crystal.frac_coords):
            for n, d in zip(images, np.linalg.norm((q - p + images) @ crystal.lattice, axis=1), strict=True):
                if d <= radius and (i != j or n.any()):
                    found.append((float(d), j))
        rows.append((sorted(found) + [(radius + 1, 0)] * k)[:k])
    return rows


def oracle(model: CGCNN, crystals: list[Crystal], training: bool) -> np.ndarray:
    """The published forward pass with concatenated features; `training`: norms use the batch's statistics."""
    layers = NumpyLayers(model, training)
    linear, batch_norm = layers.linear, layers.batch_norm
    config = model.config
    table = atom_table().numpy()
    centers = np.arange(0, config.radius + config.distance_step, config.distance_step)

    v = linear("embedding", np.concatenate([table[crystal.numbers] for crystal in crystals]).astype(float))
    edges, owner = [], []
    for place, crystal in enumerate(crystals):
        first = len(owner)
        owner += [place] * len(crystal.numbers)
        for atom, row in enumerate(nearest(crystal, config.neighbours, config.radius)):
            edges += [(first + atom, first + j, d) for d, j in row]
    for layer in range(config.conv_layers):
        name = f"convolutions.{layer}"
        u = [np.exp(-((d - centers) ** 2) / config.distance_step**2) for _, _, d in edges]
        z = np.array([np.concatenate([v[i], v[j], u_ij]) for (i, j, _), u_ij in zip(edges, u, strict=True)])
        z = batch_norm(f"{name}.edge_norm", linear(f"{name}.linear", z))
        gate, core = np.split(z, 2, axis=1)
        message = np.zeros_like(v)
        for (i, _, _), value in zip(edges, sigmoid(gate) * softplus(core), strict=True):
            message[i] += value
        v = softplus(v + batch_norm(f"{name}.atom_norm", message))
    means = [v[np.array(owner) == place].mean(axis=0) for place in range(len(crystals))]
    h = softplus(linear("conv_to_hidden", softplus(np.array(means))))
    for layer in range(config.hidden_layers - 1):
        h = softplus(linear(f"hidden.{layer}", h))
    return linear("output", h)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        CGCNNConfig(),
        CGCNNConfig(node_width=5, conv_layers=1, hidden_width=7, hidden_layers=3, targets=2),
        CGCNNConfig(node_width=6, neighbours=20, radius=3.7, distance_step=0.3),  # with padding
    ],
)
def test_forward_agrees_with_the_oracle(store_of, random_crystals, tmp_path, config, training) -> None:
    crystals = random_crystals(4, seed=2)
    store = store_of(crystals)
    make = GraphBatches(store, np.zeros((4, 1)), tmp_path, KNearest(config.neighbours, config.radius))
    batch = make(np.arange(4)).to("cpu", torch.float64)
    rows = [row for crystal in crystals for row in nearest(crystal, config.neighbours, config.radius)]
    exact = [d for row in rows for d, _ in row]
    np.testing.assert_allclose(batch.edge_distances, exact, rtol=2e-7)
    assert (max(exact) > config.radius) == (config.neighbours == 20)

    model = model_of(config).train(training)
    expected = oracle(model, crystals, training)
    result = model(replace(batch, edge_distances=torch.tensor(exact, dtype=torch.float64)))
    assert result.shape == (4, config.targets)
    # PyTorch's softplus leaves out what is below exp(-20).
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-8)


# --- facts about the published model -------------------------------------------------------------------


def test_parameter_counts() -> None:
    def count(config: CGCNNConfig) -> int:
        return sum(parameter.numel() for parameter in CGCNN(config).parameters() if parameter.requires_grad)

    assert count(CGCNNConfig()) == 80_833  # the published code with its defaults
    assert count(CGCNNConfig(conv_layers=4, hidden_width=32)) == 96_641  # Matbench's setting
    assert count(CGCNNConfig(hidden_layers=2)) == 80_833 + 128 * 128 + 128


def test_atom_table_is_the_published_one() -> None:
    table = atom_table().numpy().astype(np.uint8)
    assert table.shape == (101, 92)
    assert not table[0].any()
    # SHA-256 of the 100 x 92 bytes in the file of the published code
    published = "9ecb6fb85c41291d8eeb69c2138769957bb432172952af43f1c8ac7a5af2dbb4"
    assert hashlib.sha256(table[1:].tobytes()).hexdigest() == published


def test_elements_that_the_table_cannot_tell_apart() -> None:
    groups: dict[bytes, list[int]] = {}
    for number, row in enumerate(atom_table().numpy()[1:], start=1):
        groups.setdefault(row.tobytes(), []).append(number)
    equal = [group for group in groups.values() if len(group) > 1]
    assert equal == [[57, 58], [62, 64], [67, 68], [90, 93], [95, 96], [97, 98, 99, 100]]
    assert len(groups) == 92


def test_gaussians_cover_the_published_range() -> None:
    # The published centres are numpy.arange(0, radius + step, step).
    for radius, step in [(8.0, 0.2), (4.0, 0.5), (5.0, 0.3), (3.7, 0.3), (6.0, 0.25)]:
        assert gaussian_count(radius, step) == len(np.arange(0, radius + step, step))
    assert gaussian_count(8.0, 0.2) == 41
    assert gaussian_count(0.3, 0.1) == 4  # though 0.3 / 0.1 is a little below 3 in binary


# --- training --------------------------------------------------------------------------------------------


def test_all_parameters_get_finite_gradients_that_are_right(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(4)), tmp_path).to("cpu", torch.float64)
    model = model_of(SMALL).train()
    loss = (model(batch) - batch.targets).square().mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        # A shift before a batch norm has no effect: its gradient is zero but for rounding.
        assert torch.isfinite(parameter.grad).all(), name
        assert (parameter.grad.abs().max() > 1e-9) == (not name.endswith("linear.bias")), name

    weight, step = model.convolutions[0].linear.weight, 1e-6
    direction = torch.randn_like(weight)
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * step * direction
            values.append((model(batch) - batch.targets).square().mean())
            weight -= sign * step * direction
    expected = (values[0] - values[1]) / (2 * step)
    torch.testing.assert_close((weight.grad * direction).sum(), expected, rtol=1e-5, atol=0)


def test_constants_are_not_part_of_the_state() -> None:
    assert not any("table" in name or "centers" in name for name in CGCNN(SMALL).state_dict())


def test_a_batch_of_one_atom_can_be_trained_on(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(1, largest=1)), tmp_path)
    assert len(batch.numbers) == 1
    model = CGCNN(SMALL).train()
    model(batch).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert torch.equal(model.convolutions[0].atom_norm.running_mean, torch.zeros(8))


# --- errors ----------------------------------------------------------------------------------------------


def test_elements_beyond_the_table_are_refused(store_of, random_crystals, tmp_path) -> None:
    [crystal] = random_crystals(1, smallest=3)
    batch = batch_of(store_of([replace(crystal, numbers=np.full(len(crystal.numbers), 101))]), tmp_path)
    with pytest.raises(ValueError, match="numbers: CGCNN expected elements up to Z = 100, got Z = 101"):
        CGCNN(SMALL)(batch)


def test_another_number_of_neighbours_is_refused(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(2)), tmp_path, neighbours=8)
    with pytest.raises(ValueError, match=r"expected 12 edges for each .* KNearest\(neighbours=12\)"):
        CGCNN(SMALL)(batch)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("node_width", 0, "node_width: expected a whole number of at least 1, got 0"),
        ("conv_layers", 1.5, r"conv_layers: expected a whole number of at least 1, got 1\.5"),
        ("hidden_layers", 0, "hidden_layers: expected a whole number of at least 1, got 0"),
        ("neighbours", True, "neighbours: expected a whole number of at least 1, got True"),
        ("radius", -8.0, r"radius: expected a length above 0 Å, got -8\.0"),
        ("distance_step", 9.0, r"distance_step: expected above 0 and at most the radius of 8\.0 Å, got 9\.0"),
        ("distance_step", 0.0, r"distance_step: expected above 0"),
        ("targets", 0, "targets: expected a whole number of at least 1, got 0"),
    ],
)
def test_bad_settings_are_named(name, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        CGCNNConfig(**{name: value})
