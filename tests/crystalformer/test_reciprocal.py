"""Attention in reciprocal space, in all heads, half of them, or every other block."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from crystalformer_oracle import Settings, random_state, run

from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.images import list_images
from crystalformer.model.official import load_official_state
from crystalformer.model.reciprocal import attend_reciprocal
from crystalformer.model.waves import list_waves

SMALL = {"num_layers": 2, "width": 8, "heads": 2, "ff_width": 12, "value_basis": 6, "r_max": 5.0}
SCALES = np.array([[0.9, 0.2], [0.7, -0.3]])
DOMAINS = ["reci", "multihead", "real-reci"]


def model_of(domain, **changes):
    model = Crystalformer(CrystalformerConfig(**SMALL | {"domain": domain} | changes)).double()
    shape = {"blocks": 2, "width": 8, "heads": 2, "ff_width": 12, "basis": 6}
    state = random_state(np.random.default_rng(0), **shape)
    if domain == "reci":
        state = {name: w for name, w in state.items() if "pe_dist_proj" not in name}
    load_official_state(model, state, SCALES)
    return model


@pytest.fixture
def crystal(random_crystal):
    return random_crystal(np.random.default_rng(8), 4, 4.2)


@pytest.mark.parametrize("left_handed", [False, True])
def test_the_sum_over_waves_is_the_sum_over_images(random_crystal, left_handed):
    """Poisson's formula: with q = 0 and unit values, attention is the Gaussian sum over images."""
    sigma, atoms = 1.4, 3
    _, positions, lattice = random_crystal(np.random.default_rng(1), atoms, 4.0, left_handed)
    geometry = torch.tensor(positions), torch.tensor(lattice)[None], torch.tensor([atoms])
    images = list_images(*geometry, 8, sigma)
    gaussians = torch.exp(-(images.distance**2) / (2 * sigma**2))
    sums = torch.stack([part.sum() for part in gaussians.split(images.pair_sizes.tolist())]).view(
        atoms, atoms
    )
    zero, unit = torch.zeros(atoms, 1, atoms, dtype=torch.float64), torch.eye(atoms, dtype=torch.float64)
    variance = torch.full((atoms, 1), sigma**2, dtype=torch.float64)
    waves = list_waves(*geometry, 6)
    weights = attend_reciprocal(zero, zero, unit[:, None], variance, waves)[:, 0]
    np.testing.assert_allclose(weights, sums / sums.sum(1, keepdim=True), rtol=1e-12)


def test_a_series_below_its_bound_has_no_gradient():
    """Two atoms half a cell apart and few waves for a narrow sigma: the series between them is negative."""
    side, variance = 12.0, 0.5
    lattices = side * torch.eye(3, dtype=torch.float64)[None]
    positions = torch.tensor([[0.0, 0, 0], [6.0, 6.0, 6.0]], dtype=torch.float64, requires_grad=True)
    along_an_axis = np.exp(-0.5 * variance * (2 * np.pi / side) ** 2)
    near, far = (1 + 2 * along_an_axis) ** 3, (1 - 2 * along_an_axis) ** 3
    assert far < 0
    zero, values = torch.zeros(2, 1, 2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)[:, None]
    sigma2 = torch.full((2, 1), variance, dtype=torch.float64, requires_grad=True)
    waves = list_waves(positions, lattices, torch.tensor([2]), 1)
    p = attend_reciprocal(zero, zero, values, sigma2, waves)[0, 0, 1]
    assert p.item() == pytest.approx(1e-6 / (near + 1e-6), rel=1e-9)
    by_position, by_sigma = torch.autograd.grad(p.log(), (positions, sigma2))
    assert by_position.abs().max() < 1e-12
    slope_of_near = 6 * along_an_axis * (1 + 2 * along_an_axis) ** 2 * -0.5 * (2 * np.pi / side) ** 2
    assert by_sigma[0].item() == pytest.approx(-slope_of_near / near, rel=1e-5)


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_crystal_counts_not_its_description(make_batch, crystal, domain):
    model = model_of(domain)
    numbers, positions, lattice = crystal
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    order = [2, 0, 3, 1]
    variants = [
        (numbers, positions @ rotation, lattice @ rotation),
        (numbers, positions @ -rotation, lattice @ -rotation),
        (numbers[order], positions[order] + [0.3, -7.0, 1.1], lattice),
    ]
    expected = model(make_batch(crystal)).item()
    for variant in variants:
        assert model(make_batch(variant)).item() == pytest.approx(expected, rel=1e-10)


def test_moving_an_atom_by_a_cell_vector_changes_nothing_in_reciprocal_space(make_batch, crystal):
    numbers, positions, lattice = crystal
    moved = positions + np.array([[0, 0, 0], [3, 0, 0], [0, -1, 2], [0, 0, 1]]) @ lattice
    model = model_of("reci")
    expected = model(make_batch(crystal)).item()
    assert model(make_batch((numbers, moved, lattice))).item() == pytest.approx(expected, rel=1e-11)
    single = model.float()(make_batch((numbers, moved, lattice), dtype=torch.float32)).item()
    assert single == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("domain", DOMAINS)
def test_gradients_agree_with_finite_differences(make_batch, random_crystal, domain):
    rng = np.random.default_rng(3)
    batch = make_batch(random_crystal(rng, 2, 4.0), random_crystal(rng, 1, 3.0, left_handed=True))
    model = model_of(domain, lattice_range=1)
    names = [
        f"blocks.{i}.attention.{name}"
        for i in range(2)
        for name in ("decay.weight", "query.weight", "value.bias")
    ]
    parameters = dict(model.named_parameters())

    def outputs(positions, lattices, *values):
        moved = replace(batch, positions=positions, lattices=lattices)
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), (moved,))

    inputs = batch.positions.requires_grad_(), batch.lattices.requires_grad_()
    assert torch.autograd.gradcheck(outputs, (*inputs, *(parameters[n] for n in names)), fast_mode=True)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_prediction_does_not_depend_on_the_rest_of_the_batch(make_batch, random_crystal, domain):
    rng = np.random.default_rng(5)
    shapes = ((1, 2.5), (7, 6.0), (2, 3.0), (12, 6.5), (2, 3.1))
    crystals = [random_crystal(rng, *shape) for shape in shapes]
    model = model_of(domain)
    together = model(make_batch(*crystals)).detach()
    alone = torch.cat([model(make_batch(crystal)) for crystal in crystals]).detach()
    np.testing.assert_allclose(together, alone, rtol=1e-11, atol=1e-11)
    assert together.std() > 1e-3


def test_half_of_the_heads_see_the_images_and_half_the_waves(make_batch, crystal):
    batch = make_batch(crystal)
    outputs = {
        (box, waves): model_of("multihead", lattice_range=box, reciprocal_range=waves)(batch).item()
        for box in (1, 2)
        for waves in (1, 2)
    }
    assert len({round(value, 7) for value in outputs.values()}) == 4
    assert len({model_of("reci", lattice_range=box)(batch).item() for box in (1, 2)}) == 1


@pytest.mark.parametrize("changes", [{"rb0": 1.7}, {"a": 0.4, "b": 0.2}, {"reciprocal_range": 0}])
def test_every_setting_acts_as_in_the_formula(make_batch, crystal, changes):
    model = model_of("multihead", **changes)
    state = random_state(np.random.default_rng(0), blocks=2, width=8, heads=2, ff_width=12, basis=6)
    numbers, positions, lattice = crystal
    settings = Settings(heads=2, r_max=5.0, domain="multihead", **changes)
    expected = run(state, numbers, positions, [lattice], [len(numbers)], settings, SCALES).outputs
    found = model(make_batch(crystal)).detach()
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert abs(found - model_of("multihead")(make_batch(crystal)).detach()).max() > 1e-5


@pytest.mark.parametrize(
    ("domain", "count"),
    [("reci", 820_737), ("multihead", 853_505), ("real-reci", 837_121), ("multihead-reci", 837_121)],
)
def test_trainable_parameters_are_those_of_the_paper(domain, count):
    """Twelve fewer than published, where m, s and an unused number count in each block."""
    model = Crystalformer(CrystalformerConfig(domain=domain))
    assert sum(p.numel() for p in model.parameters()) == count


def test_single_precision_trains_without_a_nan(make_batch, random_crystal):
    rng = np.random.default_rng(11)
    crystals = [random_crystal(rng, n, edge, n == 6) for n, edge in ((1, 2.2), (6, 5.0), (15, 12.0))]
    batch = make_batch(*crystals, dtype=torch.float32)
    torch.manual_seed(0)
    model = Crystalformer(CrystalformerConfig(domain="multihead-reci", num_layers=2))
    model.calibrate(batch)
    model(batch).abs().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("domain", ["", "real-", "Reci", 3, None])
def test_unknown_domains_are_refused(domain):
    with pytest.raises(ValueError, match="domain: expected real, reci, multihead, or several"):
        CrystalformerConfig(domain=domain)


def test_multihead_needs_an_even_number_of_heads():
    with pytest.raises(ValueError, match=r"heads: expected an even number, half of them real .* got 5"):
        CrystalformerConfig(domain="real-multihead", heads=5, width=10)
