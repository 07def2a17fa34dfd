"""M3GNet against a float64 oracle in NumPy that lists every triplet, and what is special about it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from periodic_neighbors import periodic_neighbors
from scipy.special import eval_legendre, spherical_jn
from scipy.special import expit as sigmoid

from baselines.features.bessel import bessel_zeros, smooth_bessel
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.radius import WithinRadius
from baselines.m3gnet import M3GNet, M3GNetConfig
from crystalformer.data.crystal import Crystal

SMALL = M3GNetConfig(width=6, blocks=2)
ALONE = Crystal("alone", 20 * np.eye(3), np.zeros((1, 3)), np.array([8]), {})


def exact_batch(store, crystals: list[Crystal], cache, config: M3GNetConfig) -> GraphBatch:
    """The batch of `crystals` in float64, with nothing rounded to single precision."""
    make = GraphBatches(store, np.zeros((len(store), 1)), cache, WithinRadius(config.radius))
    batch = make(np.arange(len(store))).to("cpu", torch.float64)
    exact = [
        x.distance for crystal in crystals for row in periodic_neighbors(crystal, config.radius) for x in row
    ]
    np.testing.assert_allclose(batch.edge_distances, exact, rtol=2e-7)
    positions = np.concatenate([crystal.frac_coords @ crystal.lattice for crystal in crystals])
    return replace(
        batch,
        edge_distances=torch.tensor(exact, dtype=torch.float64),
        positions=torch.from_numpy(positions),
        lattices=torch.from_numpy(np.array([crystal.lattice for crystal in crystals])),
    )


def model_of(config: M3GNetConfig) -> M3GNet:
    """A model in float64 with weights that make the prediction depend on every part."""
    torch.manual_seed(0)
    model = M3GNet(config).double()
    for parameter in model.parameters():
        parameter.data.normal_()
    return model


# --- the oracle: one edge and one triplet at a time --------------------------------------------------


def swish(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def cutoff(r: float, radius: float) -> float:
    t = r / radius
    return 1 - 6 * t**5 + 15 * t**4 - 10 * t**3


class Oracle:
    """The published forward pass for one crystal; the smooth radial basis has tests of its own."""

    def __init__(self, model: M3GNet) -> None:
        self.state = {name: value.double().numpy() for name, value in model.state_dict().items()}
        self.config = model.config
        self.zeros = bessel_zeros(self.config.degrees, self.config.radial)

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.state[f"{name}.weight"] @ x + self.state.get(f"{name}.bias", 0.0)

    def gated(self, name: str, x: np.ndarray) -> np.ndarray:
        value, gate = np.split(self.linear(f"{name}.first.linear", x), 2)
        value = swish(self.linear(f"{name}.value", swish(value)))
        return value * sigmoid(self.linear(f"{name}.gate", swish(gate)))

    def basis(self, r: float, cosine: float) -> np.ndarray:
        """f_ln(r) Y_l0, first all n of l = 0."""
        values, radius = [], self.config.radius
        for degree, row in enumerate(self.zeros):
            angular = np.sqrt((2 * degree + 1) / (4 * np.pi)) * eval_legendre(degree, cosine)
            for z in row:
                radial = np.sqrt(2 / radius**3) / abs(spherical_jn(degree + 1, z))
                values.append(radial * spherical_jn(degree, z * r / radius) * angular)
        return np.array(values)

    def triplets(self, name: str, row: list, v: list[np.ndarray]) -> list[np.ndarray]:
        """ẽ of each edge of one atom."""
        config, results = self.config, []
        for place, one in enumerate(row):
            total = np.zeros(config.degrees * config.radial)
            for other_place, other in enumerate(row):
                if place != other_place and max(one.distance, other.distance) <= config.triplet_radius:
                    cosine = one.vector @ other.vector / (one.distance * other.distance)
                    gate = sigmoid(self.linear(f"{name}.triplet_gate", v[other.atom]))
                    ends = [cutoff(x.distance, config.triplet_radius) for x in (one, other)]
                    total += self.basis(other.distance, cosine) * gate * ends[0] * ends[1]
            results.append(total)
        return results

    def __call__(self, crystal: Crystal) -> np.ndarray:
        config = self.config
        rows = periodic_neighbors(crystal, config.radius)
        v = [self.state["embedding.weight"][z] for z in crystal.numbers]
        radial = [
            [
                smooth_bessel(torch.tensor([x.distance], dtype=torch.float64), config.radial, config.radius)[
                    0
                ].numpy()
                for x in row
            ]
            for row in rows
        ]
        e = [[swish(self.linear("edge_embedding", e_0)) for e_0 in row] for row in radial]
        for block in range(config.blocks):
            name, gains = f"blocks.{block}", []
            for i, row in enumerate(rows):
                gain = np.zeros(config.width)
                for k, triplets in enumerate(self.triplets(name, row, v)):
                    share = sigmoid(self.linear(f"{name}.triplet_share", triplets))
                    edge = e[i][k] + swish(self.linear(f"{name}.triplet_value", triplets)) * share
                    ends = [v[i], v[row[k].atom]]
                    update = self.gated(f"{name}.edge_gated", np.concatenate([*ends, edge]))
                    edge = edge + update * self.linear(f"{name}.edge_weight", radial[i][k])
                    weight = self.linear(f"{name}.atom_weight", radial[i][k])
                    weight = swish(weight) if config.activates_atom_weights else weight
                    gain = gain + self.gated(f"{name}.atom_gated", np.concatenate([*ends, edge])) * weight
                    e[i][k] = edge
                gains.append(gain)
            v = [old + gain for old, gain in zip(v, gains, strict=True)]
        weights = [sigmoid(self.linear("weight.2", swish(self.linear("weight.0", x)))) for x in v]
        read = [swish(self.linear("read.2", swish(self.linear("read.0", x)))) for x in v]
        y = sum(w * x for w, x in zip(weights, read, strict=True)) / sum(weights)
        return self.linear("output.4", swish(self.linear("output.2", swish(self.linear("output.0", y)))))


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, blocks=1, radial=2, degrees=4, radius=4.5, triplet_radius=4.5, targets=2),
        replace(SMALL, degrees=1, triplet_radius=3.0, activates_atom_weights=False),
    ],
)
def test_forward_agrees_with_the_oracle(store_of, random_crystals, tmp_path, config) -> None:
    drawn = [replace(x, numbers=x.numbers % 94 + 1) for x in random_crystals(3, seed=1, largest=3)]
    crystals = [*drawn, ALONE]
    batch = exact_batch(store_of(crystals), crystals, tmp_path, config)
    model = model_of(config)
    expected = np.array([Oracle(model)(crystal) for crystal in crystals])
    result = model(batch)
    assert result.shape == (4, config.targets)
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-10)


# --- the three-body term -------------------------------------------------------------------------------


def test_without_triplets_the_term_is_nothing(store_of, tmp_path) -> None:
    """A chain: each atom has two bonds, at 180°. A pair in a large cell: one bond, so no angle at all."""
    pair = Crystal("pair", 20 * np.eye(3), np.array([[0, 0, 0], [0.15, 0, 0]]), np.array([3, 9]), {})
    chain = Crystal("chain", np.diag([3.0, 20, 20]), np.zeros((1, 3)), np.array([3]), {})
    store = store_of([pair, chain])
    model, other = model_of(SMALL), model_of(SMALL)
    for block in other.blocks:
        block.triplet_value.weight.data.normal_()
    batch = exact_batch(store, [pair, chain], tmp_path, SMALL)
    before, after = model(batch), other(batch)
    torch.testing.assert_close(before[0], after[0], rtol=0, atol=1e-12)
    assert (before[1] - after[1]).abs() > 1e-4


def test_angles_make_a_difference(store_of, tmp_path) -> None:
    """Two bonds of the same lengths at 120° and at 180°; the ends are farther apart than edges reach."""
    results = []
    for degrees in (120.0, 180.0):
        angle = np.radians(degrees)
        ends = 2.35 * np.array([[0, 0, 0], [1, 0, 0], [np.cos(angle), np.sin(angle), 0]])
        crystal = Crystal(f"bent-{degrees}", 30 * np.eye(3), ends / 30, np.array([8, 1, 1]), {})
        config = replace(SMALL, radius=4.0)
        batch = exact_batch(store_of([crystal]), [crystal], tmp_path / str(degrees), config)
        assert batch.edge_counts.tolist() == [2, 1, 1]
        results.append(model_of(config)(batch).item())
    assert abs(results[0] - results[1]) > 1e-5


# --- facts about the published model -------------------------------------------------------------------


def test_parameter_counts() -> None:
    def count(config: M3GNetConfig) -> int:
        return sum(parameter.numel() for parameter in M3GNet(config).parameters() if parameter.requires_grad)

    assert count(M3GNetConfig()) == 231_709  # the published code: intensive, weighted_atom
    assert count(M3GNetConfig(blocks=2)) == 231_709 - 68_169


def test_both_halves_of_a_first_layer_start_as_matrices_of_their_own() -> None:
    torch.manual_seed(0)
    first = M3GNet(M3GNetConfig()).blocks[0].edge_gated.first.linear
    for half in first.weight.chunk(2):
        assert 0.99 < half.abs().max() / np.sqrt(6 / (192 + 64)) <= 1
    assert not first.bias.any()


# --- errors ----------------------------------------------------------------------------------------------


def test_elements_beyond_the_table_are_refused(store_of, tmp_path) -> None:
    heavy = Crystal("heavy", 3 * np.eye(3), np.zeros((1, 3)), np.array([95]), {})
    batch = exact_batch(store_of([heavy]), [heavy], tmp_path, SMALL)
    with pytest.raises(ValueError, match="numbers: M3GNet expected elements up to Z = 94, got Z = 95"):
        model_of(SMALL)(batch)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("width", 0, "width: expected a whole number of at least 1, got 0"),
        ("degrees", 2.0, r"degrees: expected a whole number of at least 1, got 2\.0"),
        ("radial", True, "radial: expected a whole number of at least 1, got True"),
        ("radius", 0.0, r"radius: expected a length above 0 Å, got 0\.0"),
        (
            "triplet_radius",
            6.0,
            r"triplet_radius: expected above 0 and at most the radius of 5\.0 Å, got 6\.0",
        ),
    ],
)
def test_bad_settings_are_named(name, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        M3GNetConfig(**{name: value})
