"""Matformer against a float64 oracle in NumPy, and what is special about it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy_layers import NumpyLayers, randomise_norms, sigmoid, silu

from baselines.features.atom_table import atom_table
from baselines.graphs.batch import GraphBatch
from baselines.matformer import ENTRY, Matformer, MatformerConfig
from crystalformer.data.crystal import Crystal

SMALL = MatformerConfig(width=6, layers=2, heads=3, hidden_width=7, gaussians=9)


def batch_of(store, tmp_path, config: MatformerConfig = SMALL, rows=None) -> GraphBatch:
    targets = np.random.default_rng(0).normal(size=(len(store), config.targets))
    make = ENTRY.batches(store, targets, config, tmp_path / "cache")
    return make(np.arange(len(store)) if rows is None else np.array(rows)).to("cpu", torch.float64)


def model_of(config: MatformerConfig, seed: int = 0) -> Matformer:
    """A model in float64 whose norms have left their initial values, so that each of them counts."""
    torch.manual_seed(seed)
    model = Matformer(config).double()
    randomise_norms(model)
    return model


# --- the oracle: one edge and one head at a time, all features concatenated ------------------------------


def oracle(model: Matformer, batch: GraphBatch, training: bool) -> np.ndarray:
    """The published forward pass over all edges, duplicates included."""
    layers = NumpyLayers(model, training)
    state, linear, batch_norm = layers.state, layers.linear, layers.batch_norm
    config = model.config
    heads, width = config.heads, config.width

    def layer_norm(name: str, x: np.ndarray) -> np.ndarray:
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    edges = list(
        zip(
            batch.edge_centers.tolist(),
            batch.edge_neighbors.tolist(),
            batch.edge_distances.tolist(),
            strict=True,
        )
    )
    centers = np.linspace(0, config.longest, config.gaussians)
    x = linear("embedding", atom_table().double().numpy()[batch.numbers.numpy()])
    features = []
    for _, _, d in edges:
        gaussians = np.exp(-((d - centers) ** 2) / (centers[1] - centers[0]))
        features.append(linear("edge_embedding.2", np.logaddexp(0, linear("edge_embedding.0", gaussians))))
    for number in range(config.layers):
        name = f"layers.{number}"
        parts = {
            part: linear(f"{name}.{part}", np.array(features) if part == "edge" else x).reshape(
                -1, heads, width
            )
            for part in ("query", "key", "value", "edge")
        }
        q, k, v, e = parts.values()
        received = np.zeros_like(q)
        for row, (i, j, _) in enumerate(edges):
            for head in range(heads):
                query = np.tile(q[i, head], 3)
                key = np.concatenate([k[i, head], k[j, head], e[row, head]])
                alpha = query * key / np.sqrt(3 * width)
                update = linear(f"{name}.update", np.concatenate([v[i, head], v[j, head], e[row, head]]))
                gated = update * sigmoid(layer_norm(f"{name}.attention.gate_norm", alpha))
                message = linear(f"{name}.attention.linear", gated)
                received[i, head] += layer_norm(f"{name}.attention.message_norm", message)
        merged = linear(f"{name}.merge", received.reshape(-1, heads * width))
        x = silu(batch_norm(f"{name}.norm", merged)) + linear(f"{name}.skip", x)
    ends = np.cumsum(batch.sizes.numpy())[:-1]
    means = np.array([atoms.mean(axis=0) for atoms in np.split(x, ends)])
    return linear("output", silu(linear("hidden", means)))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        MatformerConfig(layers=1),  # the published width
        MatformerConfig(width=4, layers=1, heads=1, gaussians=5, longest=5.0, neighbours=5, targets=2),
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
    parameters = sum(parameter.numel() for parameter in Matformer(MatformerConfig()).parameters())
    assert parameters == ENTRY.published_parameters == 2_880_641 - 97_792


def test_equal_messages_are_sent_as_often_as_there_are_edges(store_of, random_crystals, tmp_path) -> None:
    """Edges of equal length count each; changed a little, they are computed one by one."""
    batch = batch_of(store_of(random_crystals(3, smallest=2)), tmp_path)
    model = model_of(SMALL).eval()
    noise = 1 + 1e-12 * torch.rand(len(batch.edge_distances), dtype=torch.float64)
    apart = replace(batch, edge_distances=batch.edge_distances * noise)
    torch.testing.assert_close(model(apart), model(batch), rtol=1e-9, atol=0)


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


def test_predictions_depend_on_the_cell_as_written(store_of, random_crystals, tmp_path) -> None:
    """As published: lattice edges follow the stored cell vectors, not the lattice."""
    [crystal] = random_crystals(1, seed=4, smallest=4)
    turned = replace(
        crystal,
        id="turned",
        lattice=crystal.lattice[[1, 2, 0]],
        frac_coords=crystal.frac_coords[:, [1, 2, 0]],
    )
    change = np.array([[1, 0, 0], [2, 1, 0], [0, 0, 1]])
    other = replace(
        crystal,
        id="other",
        lattice=change @ crystal.lattice,
        frac_coords=crystal.frac_coords @ np.linalg.inv(change),
    )
    same, turned, other = model_of(SMALL).eval()(batch_of(store_of([crystal, turned, other]), tmp_path))
    torch.testing.assert_close(turned, same, rtol=1e-5, atol=0)
    assert abs(other - same) > 1e-3 * abs(same)


def test_a_batch_of_one_atom_can_be_trained_on(store_of, random_crystals, tmp_path) -> None:
    model = Matformer(SMALL).double().train()
    model(batch_of(store_of(random_crystals(1, largest=1)), tmp_path)).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_unknown_elements_are_refused(store_of, random_crystals, tmp_path) -> None:
    [crystal] = random_crystals(1)
    heavy = replace(crystal, numbers=np.full(len(crystal.numbers), 101))
    with pytest.raises(ValueError, match="expected elements up to Z = 100, got Z = 101"):
        batch_of(store_of([heavy]), tmp_path)
    batch = batch_of(store_of([replace(crystal, id="light")]), tmp_path)
    with pytest.raises(ValueError, match="numbers: Matformer expected elements up to Z = 100, got Z = 101"):
        Matformer(SMALL).double()(replace(batch, numbers=batch.numbers * 0 + 101))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("heads", 0, "heads: expected a whole number of at least 1, got 0"),
        ("gaussians", 1, "gaussians: expected a whole number of at least 2, got 1"),
        ("width", 2.0, r"width: expected a whole number of at least 1, got 2\.0"),
        ("longest", 0.0, r"longest: expected a length above 0 Å, got 0\.0"),
    ],
)
def test_bad_settings_are_named(field, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        MatformerConfig(**{field: value})
