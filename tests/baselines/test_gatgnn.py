"""GATGNN against a float64 oracle in NumPy, its published facts and its edge cases."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy_layers import NumpyLayers, softplus

from baselines.features.atom_table import atom_table
from baselines.gatgnn import ENTRY, GATGNN, GATGNNConfig
from baselines.graphs.batch import GraphBatch

SMALL = GATGNNConfig(node_width=8, layers=2, heads=3, composition_width=5)


def batch_of(store, tmp_path, config: GATGNNConfig) -> GraphBatch:
    targets = np.random.default_rng(0).normal(size=(len(store), config.targets))
    return ENTRY.batches(store, targets, config, tmp_path / "cache")(np.arange(len(store)))


def model_of(config: GATGNNConfig, seed: int = 0) -> GATGNN:
    """A model in float64 whose norms and biases have left their initial values, so that each counts."""
    torch.manual_seed(seed)
    model = GATGNN(config).double()
    for name, value in model.state_dict().items():
        if ("norm" in name or name.endswith("bias")) and value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5)
    return model


# --- the oracle: one atom, one edge, one head at a time ----------------------------------------------


class Oracle(NumpyLayers):
    """The published forward pass, features concatenated; `training`: norms use the batch's statistics."""

    def attend(self, name: str, v: np.ndarray, e: np.ndarray, edges: list[tuple[int, int]]) -> np.ndarray:
        heads, width = self.config.heads, self.config.node_width
        weight, a = self.state[f"{name}.weight"], self.state[f"{name}.attention"]
        z_i, z_j = np.empty((len(edges), heads, width)), np.empty((len(edges), heads, width))
        scores = np.empty((len(edges), heads))
        for edge, (i, j) in enumerate(edges):
            for h in range(heads):
                rows = weight[h * width : (h + 1) * width]
                z_i[edge, h] = softplus(rows @ np.concatenate([v[i], e[edge]]))
                z_j[edge, h] = softplus(rows @ np.concatenate([v[j], e[edge]]))
                scores[edge, h] = softplus(a[h] @ np.concatenate([z_i[edge, h], z_j[edge, h]]))
        scores = np.exp(softplus(self.batch_norm(f"{name}.head_norm", scores)))
        result = np.zeros_like(v)
        for i in range(len(v)):
            own = [edge for edge, (center, _) in enumerate(edges) if center == i]
            for h in range(heads):
                share = scores[own, h] / scores[own, h].sum()
                result[i] += share @ z_j[own, h] / heads
        return result + self.state[f"{name}.bias"]

    def __call__(self, batch: GraphBatch) -> np.ndarray:
        numbers, config = batch.numbers.numpy(), self.config
        centers = np.arange(0, config.radius + config.distance_step, config.distance_step)
        distances = batch.edge_distances.numpy()[:, None]
        v = self.linear("embed_atoms", atom_table().numpy()[numbers].astype(float))
        e = self.linear("embed_edges", np.exp(-((distances - centers) ** 2) / config.distance_step**2))
        e = np.where(e > 0, e, 0.2 * e)
        edges = list(zip(batch.edge_centers.tolist(), batch.edge_neighbors.tolist(), strict=True))
        for layer in range(config.layers):
            v = softplus(self.batch_norm(f"norms.{layer}", self.attend(f"attentions.{layer}", v, e, edges)))
        crystals, start = [], 0
        for size in batch.sizes.tolist():
            own = slice(start, start + size)
            composition = np.array([(numbers[own] == z).mean() for z in range(1, 104)])
            h = [softplus(self.linear("pool.hidden", np.concatenate([x, composition]))) for x in v[own]]
            weights = np.exp(self.linear("pool.score", np.array(h)))
            crystals.append((weights / weights.sum() * v[own]).sum(axis=0))
            start += size
        y = np.array(crystals)
        for layer in range(2):
            y = softplus(self.linear(f"hidden.{layer}", y))
        return self.linear("output", y)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        GATGNNConfig(),
        GATGNNConfig(node_width=6, layers=2, heads=1, composition_width=3, targets=2),
        GATGNNConfig(node_width=8, layers=1, neighbours=16, radius=4.0, distance_step=0.5),  # padded
    ],
)
def test_forward_agrees_with_the_oracle(store_of, random_crystals, tmp_path, config, training) -> None:
    store = store_of(random_crystals(4, seed=2))
    batch = batch_of(store, tmp_path, config).to("cpu", torch.float64)
    assert (batch.edge_distances.max() > config.radius) == (config.neighbours == 16)
    model = model_of(config).train(training)
    expected = Oracle(model, training)(batch)
    result = model(batch).detach().numpy()
    assert result.shape == (4, config.targets)
    # PyTorch's softplus leaves out what is below exp(-20). What tells the crystals apart agrees, too.
    np.testing.assert_allclose(result, expected, rtol=1e-8)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4 * expected.std(axis=0).min())


def test_gradients_are_right(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(3)), tmp_path, SMALL).to("cpu", torch.float64)
    model = model_of(SMALL).train()
    (model(batch) - batch.targets).square().mean().backward()
    for name, parameter in model.named_parameters():
        direction = torch.randn_like(parameter)
        values, step = [], 1e-5
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
                values.append((model(batch) - batch.targets).square().mean())
                parameter -= sign * step * direction
        expected = (values[0] - values[1]) / (2 * step)
        torch.testing.assert_close(
            (parameter.grad * direction).sum(), expected, rtol=1e-4, atol=1e-8, msg=name
        )


# --- facts about the published model -------------------------------------------------------------------


def test_parameter_counts() -> None:
    def count(config: GATGNNConfig) -> int:
        return sum(parameter.numel() for parameter in GATGNN(config).parameters())

    embedded_composition = 103 * 64 + 64
    cluster_attention = (131 * 3 + 3) + (64 * 64 + 64) + (64 + 1)
    unused = embedded_composition + cluster_attention + 3  # and a PReLU per layer
    assert unused == 11_280
    assert count(GATGNNConfig()) == 134_154 - unused == ENTRY.published_parameters
    assert count(GATGNNConfig(neighbours=16, radius=4.0, distance_step=0.5)) == 132_106 - unused


def test_attention_sees_the_composition(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(1, seed=3, smallest=6)), tmp_path, SMALL)
    pool = model_of(SMALL).pool
    v = torch.randn(len(batch.numbers), SMALL.node_width, dtype=torch.float64)
    other = replace(batch, numbers=torch.roll(batch.numbers, 1))  # the same composition
    assert torch.allclose(pool(v, other), pool(v, batch), rtol=1e-12)
    other = replace(batch, numbers=torch.full_like(batch.numbers, 103))
    assert not torch.allclose(pool(v, other), pool(v, batch), rtol=1e-4)


def test_large_scores_do_not_overflow(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(3)), tmp_path, SMALL)
    pool = model_of(SMALL).float().pool
    v = torch.randn(len(batch.numbers), SMALL.node_width)
    expected = pool(v, batch)
    with torch.no_grad():
        pool.score.bias += 500
    torch.testing.assert_close(pool(v, batch), expected, rtol=1e-3, atol=1e-4)


def test_a_batch_of_one_atom_can_be_trained_on(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(1, largest=1)), tmp_path, SMALL)
    assert len(batch.numbers) == 1
    model = GATGNN(SMALL).train()
    model(batch).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert torch.equal(model.norms[0].running_mean, torch.zeros(8))


# --- errors ----------------------------------------------------------------------------------------------


def test_elements_beyond_the_table_are_failures(store_of, random_crystals, tmp_path) -> None:
    [known, other] = random_crystals(2, smallest=3)
    unknown = replace(other, numbers=np.full(len(other.numbers), 101))
    batches = ENTRY.batches(store_of([known, unknown]), np.zeros((2, 1)), SMALL, tmp_path)
    assert list(batches.failures) == [1]
    batch = replace(batches(np.array([0])), numbers=torch.full((len(known.numbers),), 101))
    with pytest.raises(ValueError, match="numbers: GATGNN expected elements up to Z = 100, got Z = 101"):
        GATGNN(SMALL)(batch)


def test_another_number_of_neighbours_is_refused(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(2)), tmp_path, replace(SMALL, neighbours=8))
    with pytest.raises(ValueError, match=r"expected 12 edges for each .* KNearest\(neighbours=12\)"):
        GATGNN(SMALL)(batch)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("node_width", 0, "node_width: expected a whole number of at least 1, got 0"),
        ("layers", 1.5, r"layers: expected a whole number of at least 1, got 1\.5"),
        ("heads", True, "heads: expected a whole number of at least 1, got True"),
        ("radius", -8.0, r"radius: expected a length above 0 Å, got -8\.0"),
        ("distance_step", 9.0, r"distance_step: expected above 0 and at most the radius of 8\.0 Å, got 9\.0"),
    ],
)
def test_bad_settings_are_named(name, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        GATGNNConfig(**{name: value})
