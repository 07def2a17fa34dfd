"""The model against the NumPy implementation of the formulas, where the authors' numbers do not reach."""

import numpy as np
import pytest
import torch
from crystalformer_oracle import Settings, box_of, random_state, run

from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.official import load_official_state

SHAPE = {"num_layers": 2, "width": 8, "heads": 2, "ff_width": 12}


def small_model(rng, **changes):
    """A small model with random weights, float64, and the same weights for the oracle."""
    config = CrystalformerConfig(**SHAPE | {"value_basis": 6, "r_max": 5.0} | changes)
    state = random_state(
        rng, config.num_layers, config.width, config.heads, config.ff_width, config.value_basis
    )
    model = Crystalformer(config).double()
    load_official_state(model, state)
    settings = Settings(config.heads, config.r0, config.a, config.b, config.r_max, config.lattice_range)
    return model, state, settings


def assert_agrees(rng, crystals, make_batch, **changes):
    model, state, settings = small_model(rng, **changes)
    batch = make_batch(*crystals)
    arrays = (batch.numbers.numpy(), batch.positions.numpy(), batch.lattices.numpy(), batch.sizes.numpy())
    expected = run(state, *arrays, settings)
    model.calibrate(batch)
    found = [[1 / d.std.item(), -d.mean.item()] for d in (block.attention.decay for block in model.blocks)]
    np.testing.assert_allclose(found, expected.gauss_scale, rtol=1e-10)
    np.testing.assert_allclose(model(batch).detach(), expected.outputs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("lattice_range", [0, 1, 2, 3, "adaptive"])
@pytest.mark.parametrize("value_basis", [0, 6])
def test_skewed_and_left_handed_cells(make_batch, random_crystal, lattice_range, value_basis):
    rng = np.random.default_rng(1)
    crystals = [
        random_crystal(rng, n, edge, n % 2 == 0) for n, edge in ((1, 2.3), (2, 3.0), (4, 4.0), (3, 9.0))
    ]
    assert_agrees(rng, crystals, make_batch, lattice_range=lattice_range, value_basis=value_basis)


def test_adaptive_boxes_of_a_tiny_cell_differ_between_heads_and_atoms(make_batch):
    rng = np.random.default_rng(2)
    lattice = np.array([[0.3, 1.2, 0.1], [1.1, -0.3, 0.2], [0.4, 0.2, 2.5]])  # planes 1 to 2 Å apart
    assert np.linalg.det(lattice) < 0
    crystal = rng.integers(1, 99, 3), rng.uniform(-1, 2, (3, 3)), lattice
    boxes = {tuple(box_of(lattice, "adaptive", sigma)) for sigma in np.linspace(0.4, 1.95, 20)}
    assert len(boxes) > 5
    # a = 2 spreads sigma over most of its range
    assert_agrees(rng, [crystal], make_batch, a=2.0)


@pytest.mark.parametrize(
    "changes",
    [
        *({"r0": 1.1}, {"a": 0.4}, {"b": 0.2}, {"r_max": 3.0}, {"lattice_range": 1}),
        *({"value_basis": 0}, {"value_basis": 9}, {"num_layers": 1}, {"num_layers": 5}),
        *({"heads": 1}, {"heads": 4}, {"width": 12}, {"ff_width": 5}),
    ],
    ids=str,
)
def test_every_setting_acts_as_in_the_formula(make_batch, random_crystal, changes):
    rng = np.random.default_rng(9)
    crystals = [random_crystal(rng, 1, 2.4), random_crystal(rng, 3, 3.6, left_handed=True)]
    assert_agrees(np.random.default_rng(0), crystals, make_batch, **changes)
    results = []
    for settings in ({}, changes):
        model, *_ = small_model(np.random.default_rng(0), **settings)  # equal weights where shapes are equal
        model.calibrate(make_batch(*crystals))
        results.append(model(make_batch(*crystals)).detach())
    assert (results[0] - results[1]).abs().max() > 1e-4


def test_adaptive_with_other_scales(make_batch, random_crystal):
    rng = np.random.default_rng(3)
    crystals = [random_crystal(rng, 2, 3.0), random_crystal(rng, 5, 4.5, left_handed=True)]
    assert_agrees(rng, crystals, make_batch, r0=0.8, a=0.3, b=0.2)
    assert_agrees(rng, crystals, make_batch, r0=1.9, a=0.0, b=0.9)


def test_the_margin_of_the_adaptive_box(make_batch):
    """It decides here: with planes 1.635 Å apart, 4.9 Å = 3.5 sigma need 3 cells, 4.91 Å need 4."""
    rng = np.random.default_rng(8)
    lattice = 1.635 * np.eye(3)
    assert box_of(lattice, "adaptive", 1.4) == [4, 4, 4]
    assert_agrees(rng, [(np.array([26]), np.zeros((1, 3)), lattice)], make_batch, a=0.0)


def test_the_nearest_image_may_lie_outside_the_box(make_batch):
    """An atom stored four cells away: the box counts from there, and every image of it is far."""
    rng = np.random.default_rng(4)
    lattice = np.diag([3.0, 3.1, 3.2])
    positions = np.array([[0.0, 0, 0], [1.4 + 4 * 3.0, 1.5, 1.6]])
    for lattice_range in (1, 2, "adaptive"):
        assert_agrees(
            rng, [(np.array([11, 17]), positions, lattice)], make_batch, lattice_range=lattice_range
        )


def test_a_prediction_does_not_depend_on_the_rest_of_the_batch(make_batch, random_crystal):
    rng = np.random.default_rng(5)
    crystals = [
        random_crystal(rng, n, edge) for n, edge in ((1, 2.5), (7, 6.0), (2, 3.0), (12, 6.5), (2, 3.1))
    ]
    model, _, _ = small_model(rng)
    batch = make_batch(*crystals)
    model.calibrate(batch)
    together = model(batch).detach()
    alone = torch.cat([model(make_batch(crystal)) for crystal in crystals]).detach()
    np.testing.assert_allclose(together, alone, rtol=1e-11, atol=1e-11)
    assert together.std() > 1e-3


def test_the_range_changes_the_result_and_converges(make_batch):
    """fcc copper: small cell, so a box of one or two cells is too small."""
    rng = np.random.default_rng(6)
    copper = np.array([29]), np.zeros((1, 3)), 1.8075 * (np.ones((3, 3)) - np.eye(3))
    other = np.array([14, 8]), np.array([[0.0, 0, 0], [1, 1.2, 1.1]]), np.eye(3) * 3.0
    state = random_state(rng, **{"blocks": 2, "width": 8, "heads": 2, "ff_width": 12, "basis": 6})
    results = {}
    for lattice_range in (1, 2, 3, 8, "adaptive"):
        config = CrystalformerConfig(**SHAPE, value_basis=6, r_max=5.0, lattice_range=lattice_range)
        model = Crystalformer(config).double()
        load_official_state(model, state, np.array([[1.0, 0.0]] * 2))  # the same sigma for every range
        results[lattice_range] = model(make_batch(copper, other))[0].item()
    errors = {r: abs(value - results[8]) for r, value in results.items()}
    assert errors[1] > errors[2] > errors[3] > 0
    assert 0 < errors["adaptive"] < errors[2]


def test_adaptive_is_the_box_of_two_cells_where_planes_are_wide_apart(make_batch, random_crystal):
    rng = np.random.default_rng(7)
    crystal = random_crystal(rng, 4, 9.0)
    model, state, _ = small_model(rng)
    fixed, *_ = small_model(rng, lattice_range=2)
    load_official_state(fixed, state)
    batch = make_batch(crystal)
    for m in (model, fixed):
        m.calibrate(batch)
    assert torch.equal(model(batch), fixed(batch))
