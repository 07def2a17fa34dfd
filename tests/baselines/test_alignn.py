"""ALIGNN against a float64 oracle in NumPy, its published facts and its edge cases."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy_layers import NumpyLayers, sigmoid, silu

from baselines.alignn import ALIGNN, ENTRY, ALIGNNConfig
from baselines.features.atom_table import atom_table
from baselines.graphs import line_graph as tiling
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.nearest import KNearest

SMALL = ALIGNNConfig(alignn_layers=2, gcn_layers=2, width=8, embedding_width=6, neighbours=4)


def batch_of(store, tmp_path, config: ALIGNNConfig = SMALL) -> GraphBatch:
    targets = np.random.default_rng(0).normal(size=(len(store), config.targets))
    batch = ENTRY.batches(store, targets, config, tmp_path / "cache")(np.arange(len(store)))
    return batch.to("cpu", torch.float64)


def model_of(config: ALIGNNConfig = SMALL, seed: int = 0) -> ALIGNN:
    """A model in float64 whose norms have left their initial values and whose gates are far from even."""
    torch.manual_seed(seed)
    model = ALIGNN(config).double()
    for name, value in model.state_dict().items():
        if "norm" in name and value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5)
        elif name.endswith("weight"):
            value *= 2
    return model


# --- the oracle: one edge, one pair at a time, on dictionaries of senders ---------------------------------


class Oracle(NumpyLayers):
    """The published forward pass; `training`: norms use the statistics of the batch, and of every pair."""

    def norm_silu(self, name: str, x: np.ndarray) -> np.ndarray:
        return silu(self.batch_norm(name, x))

    def embed(self, name: str, x: np.ndarray, layers: int) -> np.ndarray:
        for layer in range(layers):
            x = self.norm_silu(f"{name}.norms.{layer}", self.linear(f"{name}.linears.{layer}", x))
        return x

    def convolve(
        self, name: str, x: np.ndarray, y: np.ndarray, arrows: list[tuple[int, int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """EGGC on a graph with a feature y for each arrow (sender, receiver)."""
        source, target = self.linear(f"{name}.gate_source", x), self.linear(f"{name}.gate_target", x)
        edge, value = self.linear(f"{name}.gate_edge", y), self.linear(f"{name}.value", x)
        m = np.array([source[j] + target[i] + edge[e] for e, (j, i) in enumerate(arrows)])
        above, below = np.zeros_like(x), np.zeros_like(x)
        for e, (j, i) in enumerate(arrows):
            above[i] += sigmoid(m[e]) * value[j]
            below[i] += sigmoid(m[e])
        h = self.linear(f"{name}.update", x) + above / (below + 1e-6)
        return x + self.norm_silu(f"{name}.node_norm", h), y + self.norm_silu(f"{name}.edge_norm", m)

    def __call__(self, batch: GraphBatch) -> np.ndarray:
        config = self.config

        def gaussians(values: np.ndarray, low: float, high: float, size: int) -> np.ndarray:
            centers = np.linspace(low, high, size)
            return np.exp(-((values[:, None] - centers) ** 2) / (centers[1] - centers[0]))

        bonds = list(zip(batch.edge_neighbors.tolist(), batch.edge_centers.tolist(), strict=True))
        r = -batch.edge_vectors().numpy()  # from the sender to the receiver
        angles = [(e, f) for e, (_, b) in enumerate(bonds) for f, (c, _) in enumerate(bonds) if b == c]
        cosines = [-r[e] @ r[f] / np.linalg.norm(r[e]) / np.linalg.norm(r[f]) for e, f in angles]
        cosines = np.clip(cosines, -1, 1)
        x = self.embed("embed_atoms", atom_table().numpy()[batch.numbers.numpy()].astype(float), 1)
        distances = batch.edge_distances.numpy()
        y = self.embed("embed_edges", gaussians(distances, 0, config.radius, config.distance_gaussians), 2)
        z = self.embed("embed_pairs", gaussians(cosines, -1, 1, config.angle_gaussians), 2)
        for layer in range(config.alignn_layers):
            x, m = self.convolve(f"graph_layers.{layer}", x, y, bonds)
            y, z = self.convolve(f"line_layers.{layer}", m, z, angles)
        for layer in range(config.gcn_layers):
            x, y = self.convolve(f"gcn_layers.{layer}", x, y, bonds)
        ends = np.cumsum(batch.sizes.numpy())[:-1]
        return self.linear("output", np.array([part.mean(axis=0) for part in np.split(x, ends)]))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        ALIGNNConfig(width=32),  # the published depth, k and Gaussians
        SMALL,
        replace(SMALL, alignn_layers=1, gcn_layers=1, radius=5.0, angle_gaussians=7, targets=2),
    ],
)
def test_forward_agrees_with_the_oracle(
    store_of, random_crystals, tmp_path, monkeypatch, config, training
) -> None:
    monkeypatch.setitem(tiling.TILE_PAIRS, "cpu", 300)  # several tiles of one kind
    batch = batch_of(store_of(random_crystals(3, seed=2)), tmp_path, config)
    model = model_of(config).train(training)
    expected = Oracle(model, training)(batch)
    result = model(batch).detach().numpy()
    assert result.shape == (3, config.targets)
    np.testing.assert_allclose(result, expected, rtol=1e-10)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-8 * expected.std(axis=0).min())


def test_gradients_are_right(store_of, random_crystals, tmp_path) -> None:
    config = replace(SMALL, gcn_layers=1)
    batch = batch_of(store_of(random_crystals(2, largest=3)), tmp_path, config)
    model = model_of(config).train()
    (model(batch) - batch.targets).square().mean().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
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


def test_single_precision_is_near_double(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(4)), tmp_path)
    config = replace(SMALL, width=64)  # wide enough for the products of float32 alone
    single, double = model_of(config).float().train(), model_of(config).train()
    losses = []
    for model, values in [(single, batch.to("cpu", torch.float32)), (double, batch)]:
        losses.append((model(values) - values.targets).square().mean())
        losses[-1].backward()
    assert abs(losses[0] - losses[1]) < 1e-4 * losses[1]
    for (name, a), b in zip(single.named_parameters(), double.parameters(), strict=True):
        if a.grad is not None:
            size = b.grad.abs().max() + 1e-3
            torch.testing.assert_close(a.grad.double() / size, b.grad / size, rtol=0, atol=1e-2, msg=name)


def test_running_statistics_count_every_pair(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(2)), tmp_path)
    model = model_of().train()
    seen = []
    norm = model.embed_pairs.norms[0]
    norm.register_forward_pre_hook(lambda _, args: seen.append(args))
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    model(batch)
    x, counts = seen[0]
    rows = x.repeat_interleave(counts.long(), dim=0)
    assert len(rows) == batch.edge_counts.square().sum()
    torch.testing.assert_close(norm.running_mean, 0.9 * mean + 0.1 * rows.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 * variance + 0.1 * rows.var(0))


# --- facts about the published model -------------------------------------------------------------------


def test_parameter_counts() -> None:
    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    model = ALIGNN(ALIGNNConfig())
    assert count(model) == 4_026_753 == ENTRY.published_parameters
    assert count(model.gcn_layers[0]) == 5 * (256**2 + 256) + 4 * 256
    assert [count(part) for part in (model.embed_atoms, model.embed_edges, model.embed_pairs)] == [
        24_320,
        22_464,
        19_904,
    ]


def test_only_what_enters_nothing_gets_no_gradient(store_of, random_crystals, tmp_path) -> None:
    model = model_of().train()
    model(batch_of(store_of(random_crystals(2)), tmp_path)).sum().backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    last = ("line_layers.1.edge_norm", "gcn_layers.1.edge_norm")
    assert without == {f"{norm}.{part}" for norm in last for part in ("weight", "bias")}


def test_angles_matter(store_of, random_crystals, tmp_path) -> None:
    """The same distances with other angles give another prediction."""
    batch = batch_of(store_of(random_crystals(1, smallest=4)), tmp_path)
    model = model_of().eval()
    stretched = replace(batch, positions=batch.positions * 1.1)  # the distances of the edges are kept
    assert (model(stretched) - model(batch)).abs().max() > 1e-4


def test_a_batch_of_one_atom_can_be_trained_on(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(1, largest=1)), tmp_path)
    assert len(batch.numbers) == 1
    model = model_of().train()
    before = model.gcn_layers[0].node_norm.running_mean.clone()
    model(batch).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert torch.equal(model.gcn_layers[0].node_norm.running_mean, before)


# --- errors ----------------------------------------------------------------------------------------------


def test_elements_beyond_the_table_are_failures(store_of, random_crystals, tmp_path) -> None:
    [known, other] = random_crystals(2, smallest=3)
    unknown = replace(other, numbers=np.full(len(other.numbers), 101))
    batches = ENTRY.batches(store_of([known, unknown]), np.zeros((2, 1)), SMALL, tmp_path)
    assert list(batches.failures) == [1]
    batch = replace(batches(np.array([0])), numbers=torch.full((len(known.numbers),), 101))
    with pytest.raises(ValueError, match="numbers: ALIGNN expected elements up to Z = 100, got Z = 101"):
        ALIGNN(SMALL)(batch)


def test_edges_without_reverse_are_refused(store_of, random_crystals, tmp_path) -> None:
    store = store_of(random_crystals(2, smallest=4))
    batch = GraphBatches(store, np.zeros((2, 1)), tmp_path, KNearest(5, 8.0))(np.arange(2))
    with pytest.raises(ValueError, match="expected every edge with its reverse"):
        ALIGNN(SMALL)(batch)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("alignn_layers", 0, "alignn_layers: expected a whole number of at least 1, got 0"),
        ("width", 1.5, r"width: expected a whole number of at least 1, got 1\.5"),
        ("angle_gaussians", 1, "angle_gaussians: expected a whole number of at least 2, got 1"),
        ("radius", 0.0, r"radius: expected a length above 0 Å, got 0\.0"),
        ("targets", True, "targets: expected a whole number of at least 1, got True"),
    ],
)
def test_bad_settings_are_named(name, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        ALIGNNConfig(**{name: value})
