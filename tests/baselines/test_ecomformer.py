"""eComFormer against a float64 oracle in NumPy, which knows no harmonics, and what it can tell apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from comformer_oracle import Oracle
from numpy_layers import randomise_norms, softplus

from baselines.ecomformer import ENTRY, EComFormer, EComFormerConfig
from baselines.features.tensor_products import harmonics
from crystalformer.data.crystal import Crystal

SMALL = EComFormerConfig(width=8, conv_layers=2, scalars=5, vectors=2, gaussians=12)
SALT = Crystal(
    "salt",
    2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    np.array([[0.1] * 3, [0.6] * 3]),
    np.array([11, 17]),
    {},
)


def batch_of(store, tmp_path, config: EComFormerConfig = SMALL):
    targets = np.random.default_rng(0).normal(size=(len(store), 1))
    return ENTRY.batches(store, targets, config, tmp_path / "cache")(np.arange(len(store)))


def model_of(config: EComFormerConfig = SMALL, seed: int = 0) -> EComFormer:
    """A model in float64 whose norms have left their initial values, so that each of them counts."""
    torch.manual_seed(seed)
    model = EComFormer(config).double()
    randomise_norms(model)
    return model


def exact(batch, crystals: list[Crystal]):
    """The batch with positions and lengths that are found here, in float64."""
    positions = np.concatenate([crystal.frac_coords @ crystal.lattice for crystal in crystals])
    batch = replace(
        batch.to("cpu", torch.float64),
        positions=torch.tensor(positions),
        lattices=torch.tensor(np.stack([crystal.lattice for crystal in crystals])),
    )
    lengths = batch.edge_vectors().norm(dim=1).numpy()
    # Rounded so that what symmetry makes equal is equal.
    return replace(batch, edge_distances=torch.tensor(np.round(lengths, 12)))


def oracle(model: EComFormer, crystals: list[Crystal], batch, training: bool) -> np.ndarray:
    """The published forward pass: every edge with weights of its own.

    Harmonics enter by their scalar products alone, Y_l(a) · Y_l(b) = (2l + 1) P_l(cos ∠(a, b)): vectors and
    tensors of an atom are not made, but asked for along an edge to it.
    """
    this = Oracle(model, crystals, batch, training)
    s, v = model.config.scalars, model.config.vectors
    units = batch.edge_vectors().numpy()
    units = units / np.linalg.norm(units, axis=1, keepdims=True)

    def weights(name: str, shapes: list[tuple[int, int]]) -> list[list[np.ndarray]]:
        flat = this.linear(f"{name}.weights", softplus(this.linear(f"{name}.hidden", this.e)))
        ends = np.cumsum([u * w for u, w in shapes])[:-1]
        return [
            [part.reshape(uw) for part, uw in zip(np.split(row, ends), shapes, strict=True)] for row in flat
        ]

    x = this.convolution("convolutions.0", this.embedded())
    h = this.linear("equivariant.scalar", x)
    first = weights("equivariant.from_scalars", [(s, s), (s, v), (s, v)])
    second = weights("equivariant.to_scalars", [(s, s), (v, s), (v, s)])
    edges_of = [np.flatnonzero([i == atom for i, _ in this.edges]) for atom in range(len(x))]
    a = h.copy()
    for j, edges in enumerate(edges_of):
        for e in edges:
            a[j] += h[this.edges[e][1]] @ first[e][0] / np.sqrt(s) / len(edges)
    out = np.zeros((len(x), s))
    for i in range(len(x)):
        for edge in edges_of[i]:
            j = this.edges[edge][1]
            vector, tensor = np.zeros(v), np.zeros(v)
            for other in edges_of[j]:
                cosine = units[other] @ units[edge]
                sent = h[this.edges[other][1]] / np.sqrt(s) / len(edges_of[j])
                vector += 3 * cosine * (sent @ first[other][1])
                tensor += 5 * (1.5 * cosine**2 - 0.5) * (sent @ first[other][2])
            w = second[edge]
            message = a[j] @ w[0] + vector @ w[1] / np.sqrt(3) + tensor @ w[2] / np.sqrt(5)
            out[i] += message / np.sqrt(s + 2 * v) / len(edges_of[i])
    new = this.linear("equivariant.back", softplus(this.batch_norm("equivariant.norm", out)))
    x = softplus(new) + this.linear("equivariant.skip", x)
    for layer in range(1, model.config.conv_layers):
        x = this.convolution(f"convolutions.{layer}", x)
    return this.read_out(x)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        EComFormerConfig(width=6, conv_layers=3, scalars=3, vectors=4, gaussians=9, neighbours=7, targets=2),
    ],
)
def test_forward_agrees_with_the_oracle(store_of, random_crystals, tmp_path, config, training) -> None:
    crystals = [*random_crystals(2, seed=2, largest=4), SALT]  # symmetric: rows that occur several times
    batch = batch_of(store_of(crystals), tmp_path, config)
    given, batch = batch, exact(batch, crystals)
    np.testing.assert_allclose(given.edge_distances, batch.edge_distances, rtol=2e-7)
    model = model_of(config).train(training)
    expected = oracle(model, crystals, batch, training)
    result = model(batch)
    assert result.shape == (3, config.targets)
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-10)


def test_parameter_counts() -> None:
    def count(config: EComFormerConfig) -> int:
        return sum(p.numel() for p in EComFormer(config).parameters() if p.requires_grad)

    assert count(EComFormerConfig()) == 12_459_137 == ENTRY.published_parameters
    assert count(EComFormerConfig(scalars=64)) == 5_583_809


def test_harmonics_have_their_length_and_scalar_products() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = 5 * torch.randn(40, 3, dtype=torch.float64, generator=generator)
    cosines = torch.nn.functional.cosine_similarity(vectors[:20], vectors[20:])
    for y, legendre in zip(harmonics(vectors), (3 * cosines, 5 * (1.5 * cosines**2 - 0.5)), strict=True):
        torch.testing.assert_close(y.square().sum(dim=1), torch.full((40,), float(y.shape[1])).double())
        torch.testing.assert_close((y[:20] * y[20:]).sum(dim=1), legendre)
    assert not any(y.any() for y in harmonics(torch.zeros(1, 3)))


def test_directions_matter_but_not_the_hand(store_of, random_crystals, tmp_path) -> None:
    [crystal] = random_crystals(1, seed=8, smallest=4)
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    turned = replace(crystal, id="turned", lattice=crystal.lattice @ turn * np.linalg.det(turn))
    mirror = replace(crystal, id="mirror", lattice=crystal.lattice @ np.diag([1, 1, -1]))
    batch = batch_of(store_of([crystal, turned, mirror]), tmp_path).to("cpu", torch.float64)
    model = model_of().train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0  # the running statistics become those of this batch
    with torch.no_grad():
        model(batch)
        first, rotated, reflected = model.eval()(batch).flatten()
        torch.testing.assert_close(rotated, first, rtol=0, atol=1e-6)
        torch.testing.assert_close(reflected, first, rtol=0, atol=1e-6)
        # The same lengths, but all vectors parallel.
        line = torch.ones_like(batch.lattices)
        flat = replace(batch, positions=0 * batch.positions, lattices=line)
        assert (model(flat).flatten() - first).abs().max() > 1e-5


def test_gradients_are_those_of_finite_differences(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of([*random_crystals(2), SALT]), tmp_path).to("cpu", torch.float64)
    model = model_of().train()

    def loss() -> torch.Tensor:
        return (model(batch) - batch.targets).square().mean()

    loss().backward()
    step = 1e-6
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        direction = torch.randn_like(parameter)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
                values.append(loss())
                parameter -= sign * step * direction
        expected = (values[0] - values[1]) / (2 * step)
        torch.testing.assert_close((parameter.grad * direction).sum(), expected, rtol=1e-5, atol=1e-8)


def test_a_batch_of_one_atom_can_be_trained_on(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(1, largest=1)), tmp_path)
    model = EComFormer(SMALL).train()
    model(batch).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert torch.equal(model.equivariant.norm.running_mean, torch.zeros(5))


def test_elements_beyond_the_table_are_refused(store_of, random_crystals, tmp_path) -> None:
    [crystal] = random_crystals(1, smallest=3)
    heavy = replace(crystal, numbers=np.full(len(crystal.numbers), 101))
    make = ENTRY.batches(store_of([heavy]), np.zeros((1, 1)), SMALL, tmp_path)
    assert make.failures == {0: "expected elements up to Z = 100, got Z = 101"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("width", 0, "width: expected a whole number of at least 1, got 0"),
        ("scalars", 1.5, r"scalars: expected a whole number of at least 1, got 1\.5"),
        ("vectors", 0, "vectors: expected a whole number of at least 1, got 0"),
        ("gaussians", 1, "gaussians: expected a whole number of at least 2, got 1"),
        ("neighbours", True, "neighbours: expected a whole number of at least 1, got True"),
    ],
)
def test_bad_settings_are_named(name, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        EComFormerConfig(**{name: value})
