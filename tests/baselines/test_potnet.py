"""PotNet against a float64 oracle in NumPy, and what is special about it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy_layers import NumpyLayers, randomise_norms, sigmoid, silu

from baselines.features.atom_table import atom_table
from baselines.graphs.potential_batch import PotentialBatch
from baselines.potnet import ENTRY, PotNet, PotNetConfig
from crystalformer.data.crystal import Crystal

SMALL = PotNetConfig(width=6, layers=2, gaussians=9, multiquadrics=7)


def batch_of(store, tmp_path, config: PotNetConfig = SMALL) -> PotentialBatch:
    targets = np.random.default_rng(0).normal(size=(len(store), config.targets))
    make = ENTRY.batches(store, targets, config, tmp_path / "cache")
    return make(np.arange(len(store))).to("cpu", torch.float64)


def model_of(config: PotNetConfig, seed: int = 0) -> PotNet:
    """A model in float64 whose norms have left their initial values, so that each of them counts."""
    torch.manual_seed(seed)
    model = PotNet(config).double()
    randomise_norms(model)
    return model


# --- the oracle: one edge at a time, all features concatenated -------------------------------------------


def oracle(model: PotNet, batch: PotentialBatch, training: bool) -> np.ndarray:
    """The published forward pass over all edges of both kinds, duplicates included."""
    layers = NumpyLayers(model, training)
    linear, batch_norm = layers.linear, layers.batch_norm
    config = model.config

    local = []
    centers = np.linspace(-4, 4, config.gaussians)
    for d in batch.edge_distances.tolist():
        gaussians = np.exp(-(((-0.75 / d - centers) / (centers[1] - centers[0])) ** 2))
        local.append(silu(linear("local", gaussians)))
    infinite = []
    centers = np.linspace(-4, 4, config.multiquadrics)
    for s in batch.pair_potentials.tolist():
        multiquadrics = np.sqrt(1 + ((s - centers) / (centers[1] - centers[0])) ** 2)
        infinite.append(np.logaddexp(0, linear("infinite", multiquadrics)))
    features = np.concatenate([local, batch_norm("infinite_norm", np.array(infinite))])
    i = [*batch.edge_centers.tolist(), *batch.pair_centers.tolist()]
    j = [*batch.edge_neighbors.tolist(), *batch.pair_neighbors.tolist()]

    x = linear("embedding", atom_table().double().numpy()[batch.numbers.numpy()])
    for number in range(config.layers):
        name = f"layers.{number}"
        z = [np.concatenate([x[i], x[j], e]) for i, j, e in zip(i, j, features, strict=True)]
        gates, values = (
            linear(f"{name}.messages.{part}", silu(linear(f"{name}.{part}", np.array(z))))
            for part in ("gate", "value")
        )
        received = np.zeros_like(x)
        for center, message in zip(
            i, sigmoid(batch_norm(f"{name}.messages.norm", gates)) * values, strict=True
        ):
            received[center] += message
        x = np.maximum(x + batch_norm(f"{name}.norm", received), 0)
    ends = np.cumsum(batch.sizes.numpy())[:-1]
    means = np.array([atoms.mean(axis=0) for atoms in np.split(x, ends)])
    return linear("output", np.logaddexp(0, linear("hidden", means)) - np.log(2))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        PotNetConfig(layers=1),  # the published width
        PotNetConfig(width=4, layers=1, gaussians=5, multiquadrics=3, neighbours=5, pauli="paper", targets=2),
    ],
)
def test_forward_agrees_with_the_oracle(store_of, random_crystals, tmp_path, config, training) -> None:
    cube = Crystal("cube", 3.1 * np.eye(3), np.zeros((1, 3)), np.array([26]), {})
    batch = batch_of(store_of([*random_crystals(3, seed=2), cube]), tmp_path, config)
    model = model_of(config).train(training)
    expected = oracle(model, batch, training)
    result = model(batch)
    assert result.shape == (4, config.targets)
    # PyTorch's softplus leaves out what is below exp(-20).
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=0, atol=1e-8 * np.abs(expected).max())


def test_parameter_count_is_the_published_one() -> None:
    parameters = sum(parameter.numel() for parameter in PotNet(PotNetConfig()).parameters())
    assert parameters == ENTRY.published_parameters == 1_751_809


def test_local_edges_and_all_pairs_of_the_published_graph(store_of, tmp_path) -> None:
    salt = Crystal(
        "NaCl",
        2.8 * np.array([[0, 1.0, 1], [1, 0, 1], [1, 1, 0]]),
        np.array([[0, 0, 0], [0.5, 0.5, 0.5]]),
        np.array([11, 17]),
        {},
    )
    batch = batch_of(store_of([salt]), tmp_path)
    # 6 and 12 neighbours in two shells, of which the second is needed for 16; chosen from both ends
    assert batch.edge_counts.tolist() == [2 * (6 + 12)] * 2
    assert batch.pair_centers.tolist() == [0, 0, 1, 1]
    assert batch.pair_neighbors.tolist() == [0, 1, 0, 1]


def test_gradients_are_right(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(3)), tmp_path)
    model = model_of(SMALL).train()

    def loss() -> torch.Tensor:
        return (model(batch) - batch.targets).square().mean()

    loss().backward()
    torch.manual_seed(5)
    for name, parameter in model.named_parameters():
        direction, step = torch.randn_like(parameter), 1e-6
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
                values.append(loss())
                parameter -= sign * step * direction
        expected = (values[0] - values[1]) / (2 * step)
        found = (parameter.grad * direction).sum()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7, msg=name)


def test_running_statistics_count_every_edge(store_of, random_crystals, tmp_path) -> None:
    """With all statistics taken over, the batch's own and the running ones give the same."""
    batch = batch_of(store_of(random_crystals(4)), tmp_path)
    model = model_of(SMALL).train()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    for norm in norms:
        norm.momentum = 1.0
    result = model(batch)
    assert all(norm.num_batches_tracked == 1 for norm in norms)
    edges = len(batch.edge_centers) + len(batch.pair_centers)
    for norm, count in ((norms[0], len(batch.pair_centers)), (model.layers[0].messages.norm, edges)):
        norm.running_var *= (count - 1) / count  # the running variance is that of a sample
    for norm in (layer.norm for layer in model.layers):
        norm.running_var *= (len(batch.numbers) - 1) / len(batch.numbers)
    model.layers[1].messages.norm.running_var *= (edges - 1) / edges
    torch.testing.assert_close(model.eval()(batch), result)


def test_released_and_paper_potentials_differ(store_of, random_crystals, tmp_path) -> None:
    store = store_of(random_crystals(2))
    model = model_of(SMALL).eval()
    released = batch_of(store, tmp_path)
    paper = batch_of(store, tmp_path, replace(SMALL, pauli="paper"))
    assert torch.equal(released.edge_distances, paper.edge_distances)
    assert (model(released) - model(paper)).abs().max() > 1e-4


def test_a_batch_of_one_atom_can_be_trained_on(store_of, random_crystals, tmp_path) -> None:
    model = PotNet(SMALL).double().train()
    model(batch_of(store_of(random_crystals(1, largest=1)), tmp_path)).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_unknown_elements_are_refused(store_of, random_crystals, tmp_path) -> None:
    [crystal] = random_crystals(1)
    heavy = replace(crystal, numbers=np.full(len(crystal.numbers), 101))
    with pytest.raises(ValueError, match="expected elements up to Z = 100, got Z = 101"):
        batch_of(store_of([heavy]), tmp_path)
    batch = batch_of(store_of([replace(crystal, id="light")]), tmp_path)
    with pytest.raises(ValueError, match="numbers: PotNet expected elements up to Z = 100, got Z = 101"):
        PotNet(SMALL).double()(replace(batch, numbers=batch.numbers * 0 + 101))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("layers", 0, "layers: expected a whole number of at least 1, got 0"),
        ("multiquadrics", 1, "multiquadrics: expected a whole number of at least 2, got 1"),
        ("neighbours", True, "neighbours: expected a whole number of at least 1, got True"),
        ("pauli", "none", "pauli: expected 'released' or 'paper', got 'none'"),
    ],
)
def test_bad_settings_are_named(field, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        PotNetConfig(**{field: value})
