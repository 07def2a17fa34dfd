"""What the model must obey whatever its weights, how it starts, and what it says when misused."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from crystalformer_oracle import random_state

from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.official import load_official_state

SMALL = {"num_layers": 2, "width": 8, "heads": 2, "ff_width": 12, "value_basis": 6, "r_max": 5.0}
SCALES = np.array([[0.9, 0.2], [0.7, -0.3]])


def model_of(seed=0, **changes):
    model = Crystalformer(CrystalformerConfig(**SMALL | changes)).double()
    rng = np.random.default_rng(seed)
    config = model.config
    state = random_state(rng, 2, 8, 2, 12, config.value_basis, config.targets)
    load_official_state(model, state, SCALES)
    return model


@pytest.fixture
def crystal(random_crystal):
    return random_crystal(np.random.default_rng(8), 4, 4.2)


def orthogonal(seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]


# -- invariances: of a fixed or adaptive range


@pytest.mark.parametrize("lattice_range", [2, "adaptive"])
@pytest.mark.parametrize("mirror", [1, -1])
def test_rotation_and_reflection_change_nothing(make_batch, crystal, lattice_range, mirror):
    model = model_of(lattice_range=lattice_range)
    numbers, positions, lattice = crystal
    rotation = mirror * orthogonal(1)
    turned = numbers, positions @ rotation, lattice @ rotation
    np.testing.assert_allclose(
        model(make_batch(turned)).detach(), model(make_batch(crystal)).detach(), rtol=1e-10
    )


@pytest.mark.parametrize("lattice_range", [2, "adaptive"])
def test_the_origin_and_the_order_of_atoms_change_nothing(make_batch, crystal, lattice_range):
    model = model_of(lattice_range=lattice_range)
    numbers, positions, lattice = crystal
    order = [2, 0, 3, 1]
    moved = numbers[order], positions[order] + [0.3, -7.0, 1.1], lattice
    np.testing.assert_allclose(
        model(make_batch(moved)).detach(), model(make_batch(crystal)).detach(), rtol=1e-10
    )


def test_moving_an_atom_or_the_lattice_does_change_the_result(make_batch, crystal):
    model = model_of()
    numbers, positions, lattice = crystal
    before = model(make_batch(crystal)).item()
    assert abs(model(make_batch((numbers, positions, lattice * 1.05))).item() - before) > 1e-4
    positions = positions + np.array([[0.3, 0, 0]] + [[0, 0, 0]] * 3)
    assert abs(model(make_batch((numbers, positions, lattice))).item() - before) > 1e-4


# -- invariances of the crystal itself, which hold once the sum over images has converged


def test_a_supercell_and_another_lattice_basis_describe_the_same_crystal(make_batch, random_crystal):
    model = model_of(lattice_range=7)
    numbers, positions, lattice = random_crystal(np.random.default_rng(9), 2, 3.4)
    expected = model(make_batch((numbers, positions, lattice))).item()
    doubled = (
        np.tile(numbers, 2),
        np.concatenate([positions, positions + lattice[0]]),
        lattice * [[2], [1], [1]],
    )
    assert model(make_batch(doubled)).item() == pytest.approx(expected, abs=1e-9)
    sheared = numbers, positions, np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]]) @ lattice
    assert model(make_batch(sheared)).item() == pytest.approx(expected, abs=1e-9)
    wrapped = numbers, positions + np.array([[0, 0, 0], [1, -1, 0]]) @ lattice, lattice
    assert model(make_batch(wrapped)).item() == pytest.approx(expected, abs=1e-9)


def test_the_simplified_model_cannot_see_the_lattice_of_one_atom(make_batch):
    """Without psi the sum over images cancels for one atom per cell (appendix "Necessity" of the paper)."""
    cells = [(np.array([29]), np.zeros((1, 3)), edge * np.eye(3)) for edge in (2.5, 3.5)]
    simplified, full = model_of(value_basis=0)(make_batch(*cells)), model_of()(make_batch(*cells))
    assert simplified[0].item() == pytest.approx(simplified[1].item(), abs=1e-12)
    assert abs(full[0].item() - full[1].item()) > 1e-3


# -- gradients


@pytest.mark.parametrize("lattice_range", [1, "adaptive"])
def test_gradients_agree_with_finite_differences(make_batch, random_crystal, lattice_range):
    rng = np.random.default_rng(10)
    batch = make_batch(random_crystal(rng, 2, 3.0), random_crystal(rng, 1, 2.4))
    model = model_of(lattice_range=lattice_range, targets=2)
    parameters = dict(model.named_parameters())
    chosen = ["decay.weight", "value_encoding", "query.weight", "key.weight", "value.bias"]
    names = [f"blocks.{i}.attention.{name}" for i in range(2) for name in chosen] + ["blocks.1.expand.weight"]

    def outputs(*values):
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), (batch,))

    assert torch.autograd.gradcheck(outputs, tuple(parameters[n] for n in names), fast_mode=True)


def test_gradients_of_a_batch_are_the_sum_over_its_crystals(make_batch, random_crystal, monkeypatch):
    rng = np.random.default_rng(14)
    crystals = [random_crystal(rng, n, edge) for n, edge in ((1, 2.2), (2, 2.8), (3, 3.1), (1, 5.0))]
    model = model_of()
    monkeypatch.setattr("crystalformer.model.tiles.TILE_OVERHEAD", 10**9)
    (tile,) = model.geometry(make_batch(*crystals)).images.tiles.tiles  # padded in atoms and in images
    assert tile.reach is not None

    def gradients(*chosen):
        model.zero_grad()
        model(make_batch(*chosen)).sum().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    alone = torch.stack([gradients(crystal) for crystal in crystals]).sum(0)
    np.testing.assert_allclose(gradients(*crystals), alone, rtol=1e-9, atol=1e-10)


def test_positions_and_lattices_are_differentiable(make_batch, crystal):
    model = model_of(lattice_range=1)
    batch = make_batch(crystal)

    def outputs(positions, lattices):
        return model(replace(batch, positions=positions, lattices=lattices))

    assert torch.autograd.gradcheck(
        outputs, (batch.positions.requires_grad_(), batch.lattices.requires_grad_())
    )


def test_gradients_of_the_published_model_are_finite(make_batch, random_crystal):
    rng = np.random.default_rng(11)
    crystals = [random_crystal(rng, n, edge) for n, edge in ((1, 2.2), (6, 5.0), (15, 8.0))]
    batch = make_batch(*crystals, dtype=torch.float32)
    torch.manual_seed(0)
    model = Crystalformer()
    model.calibrate(batch)
    model(batch).abs().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_the_same_seed_gives_the_same_bits(make_batch, random_crystal):
    rng = np.random.default_rng(12)
    batch = make_batch(*(random_crystal(rng, n, 4.0) for n in (1, 3, 3, 8)), dtype=torch.float32)
    results = []
    for _ in range(2):
        torch.manual_seed(5)
        model = Crystalformer(CrystalformerConfig(**SMALL))
        model.calibrate(batch)
        output = model(batch)
        output.sum().backward()
        results.append([output] + [p.grad for p in model.parameters()])
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


# -- size and start


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 853_505),
        ({"value_basis": 0}, 820_737),
        ({"num_layers": 7}, 1_471_745),
        ({"targets": 3}, 853_505 + 2 * 129),
        ({"lattice_range": 2}, 853_505),
    ],
)
def test_trainable_parameters_are_those_of_the_paper(changes, count):
    model = Crystalformer(CrystalformerConfig(**changes))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == count


@pytest.mark.parametrize(("num_layers", "residual", "embedding"), [(4, 0.4738, 0.0361), (1, 0.67, 0.0510)])
def test_initial_weights_have_the_published_spread(num_layers, residual, embedding):
    torch.manual_seed(0)
    model = Crystalformer(CrystalformerConfig(num_layers=num_layers))
    attention = model.blocks[0].attention
    square, rectangle = (2 / 256) ** 0.5, (2 / 640) ** 0.5  # Xavier, 128 x 128 and 128 x 512
    expected = {
        "query": (attention.query.weight, square),
        "key": (attention.key.weight, square),
        "value": (attention.value.weight, square * residual),
        "output": (attention.output.weight, square * residual),
        "expand": (model.blocks[0].expand.weight, rectangle * residual),
        "contract": (model.blocks[0].contract.weight, rectangle * residual),
        "value encoding": (attention.value_encoding, 0.0128),
        "embedding": (model.embedding.weight, embedding),
    }
    for name, (weight, std) in expected.items():
        assert weight.std().item() == pytest.approx(std, rel=0.03), name
        assert abs(weight.mean().item()) < 4 * std / weight.numel() ** 0.5, name
    decay = torch.cat([block.attention.decay.weight.flatten() for block in model.blocks])
    assert decay.std().item() == pytest.approx(0.25, rel=0.25)
    assert attention.value_encoding.abs().max().item() == pytest.approx(0.0221, rel=0.01)  # uniform
    biases = [p for name, p in model.blocks.named_parameters() if name.endswith("bias")]
    assert len(biases) == 6 * num_layers
    assert all((bias == 0).all() for bias in biases)


# -- calibration and state


def test_an_uncalibrated_model_asks_for_calibration(make_batch, crystal):
    model = Crystalformer(CrystalformerConfig(**SMALL)).double()
    with pytest.raises(RuntimeError, match=r"call calibrate\(batch\) with the first training batch"):
        model(make_batch(crystal))
    model.calibrate(make_batch(crystal))
    assert model(make_batch(crystal)).isfinite().all()


def test_forward_keeps_the_statistics(make_batch, crystal, random_crystal):
    model = model_of().train()
    before = copy.deepcopy(model.state_dict())
    model(make_batch(random_crystal(np.random.default_rng(13), 5, 5.0)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_state_dicts_keep_weights_and_calibration(make_batch, crystal, tmp_path):
    batch = make_batch(crystal)
    fresh, trained = (Crystalformer(CrystalformerConfig(**SMALL)).double() for _ in range(2))
    trained.calibrate(batch)
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert fresh.calibrated
    assert torch.equal(fresh(batch), trained(batch))
    assert torch.equal(copy.deepcopy(trained)(batch), trained(batch))
    uncalibrated = Crystalformer(CrystalformerConfig(**SMALL)).double()
    fresh.load_state_dict(uncalibrated.state_dict())
    assert not fresh.calibrated


def test_calibration_needs_queries_that_differ(make_batch):
    model = Crystalformer(CrystalformerConfig(**SMALL | {"heads": 1})).double()
    with pytest.raises(ValueError, match="batch: expected atoms whose queries differ"):
        model.calibrate(make_batch((np.array([6]), np.zeros((1, 3)), 3 * np.eye(3))))


# -- messages


@pytest.mark.parametrize("z", [0, 99, 118])
def test_an_unknown_element_is_named(make_batch, z):
    batch = make_batch((np.array([8, z]), np.eye(3)[:2], 3 * np.eye(3)))
    with pytest.raises(
        ValueError, match=rf"numbers: expected .* Z from 1 to 98, got Z = {z} in atom 1 of crys"
    ):
        model_of()(batch)


def test_official_weights_that_do_not_fit_are_named():
    model = Crystalformer(CrystalformerConfig(**SMALL))
    state = random_state(np.random.default_rng(0), 2, 8, 2, 12, 6)
    removed = state.pop("mlp.3.bias")
    with pytest.raises(ValueError, match=r"missing: \['mlp.3.bias'\]; unexpected: none"):
        load_official_state(model, state)
    with pytest.raises(ValueError, match=r"missing: none; unexpected: \['mlp.9.bias'\]"):
        load_official_state(model, state | {"mlp.3.bias": removed, "mlp.9.bias": removed})
    with pytest.raises(ValueError, match=r"state: mlp.3.bias: expected \(1,\) for head.2.bias, got \(2,\)"):
        load_official_state(model, state | {"mlp.3.bias": np.zeros(2)})
    with pytest.raises(ValueError, match="gauss_scale: expected 2 rows, one per block, got 3"):
        load_official_state(model, state | {"mlp.3.bias": removed}, np.ones((3, 2)))


def test_statistics_within_official_weights_are_used():
    model = Crystalformer(CrystalformerConfig(**SMALL))
    state = random_state(np.random.default_rng(0), 2, 8, 2, 12, 6)
    stored = {f"encoder.layers.{i}.self_attn.gauss_scale": np.array([0.5, -0.25]) for i in range(2)}
    unused = {f"encoder.layers.{i}.self_attn.atten_scale": np.zeros(1) for i in range(2)}
    load_official_state(model, state | stored | unused)
    assert model.calibrated
    assert [block.attention.decay.std.item() for block in model.blocks] == [2.0, 2.0]
    assert [block.attention.decay.mean.item() for block in model.blocks] == [0.25, 0.25]
    load_official_state(model, state)
    assert not model.calibrated
