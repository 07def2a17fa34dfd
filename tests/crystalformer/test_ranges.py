"""Radius and tolerance as range rules: they act, they converge, and the stated bound holds."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from crystalformer.data.catalog import DATASETS
from crystalformer.data.image_batch import ImageBatch
from crystalformer.data.radius_images import radius_images
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.truncation import radius_for, truncation_bound
from crystalformer.sources.bundled import read_bundled

SMALL = {"num_layers": 2, "width": 8, "heads": 2, "ff_width": 12, "value_basis": 6, "r_max": 5.0}


@pytest.fixture(scope="module")
def real_crystals():
    """Every hundredth bundled crystal, as (numbers, positions, lattice)."""
    crystals = read_bundled(DATASETS["mp-formation-2015"])[::100]
    return [(c.numbers, c.frac_coords @ c.lattice, c.lattice) for c in crystals]


def model_of(**changes):
    torch.manual_seed(3)
    return Crystalformer(CrystalformerConfig(**SMALL | changes)).double()


@pytest.mark.parametrize("radius", [7.5, 9.0, 11.0, 12.7])
def test_real_crystals_leave_out_less_than_the_bound(real_crystals, radius):
    """For the widest sigma, at equal q.k: the weight beyond the radius as part of all weight."""
    sigma = CrystalformerConfig().sigma_max
    worst = 0.0
    for _, positions, lattice in real_crystals:
        images = radius_images(positions, lattice[None], np.array([len(positions)]), 18.0)
        query = np.repeat(np.arange(len(positions)), images.counts)
        weights = np.exp(-(images.distances**2) / (2 * sigma**2))
        everything = np.bincount(query, weights)
        worst = max(worst, (np.bincount(query, weights * (images.distances > radius)) / everything).max())
    assert 0 < worst < truncation_bound(radius, sigma)


def test_the_bound_holds_for_the_densest_packing_there_can_be():
    """Face-centred cubic at the smallest distance the bound allows for, where it has the least to spare."""
    spacing, sigma, radius = 0.7, 1.0, 4.5
    lattice = spacing / math.sqrt(2) * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    images = radius_images(np.zeros((1, 3)), lattice[None], np.array([1]), 9.0)
    weights = np.exp(-(images.distances**2) / (2 * sigma**2))
    left_out = weights[images.distances > radius].sum()
    assert 0.1 < left_out / truncation_bound(radius, sigma, spacing) < 1


def test_a_radius_too_small_for_the_bound_promises_nothing():
    assert truncation_bound(1.0, 1.98) == math.inf
    assert truncation_bound(50.0, 1.98) < 1e-100


@pytest.mark.parametrize("tolerance", [0.5, 1e-3, 1e-5, 1e-12])
def test_the_radius_of_a_tolerance_is_the_smallest_that_keeps_it(tolerance):
    radius = radius_for(tolerance, 1.98)
    assert truncation_bound(radius, 1.98) <= tolerance < truncation_bound(radius - 1e-5, 1.98)
    config = CrystalformerConfig(lattice_range="tolerance", tolerance=tolerance)
    assert config.images_radius == pytest.approx(radius, abs=1e-2)
    assert config.truncation_bound <= tolerance


def test_boxes_have_neither_radius_nor_bound():
    for lattice_range in (2, "adaptive"):
        config = CrystalformerConfig(lattice_range=lattice_range)
        assert (config.images_radius, config.truncation_bound) == (None, None)
    config = CrystalformerConfig(lattice_range="radius", radius=12)
    assert config.images_radius == 12.0
    assert config.truncation_bound == truncation_bound(12.0, config.sigma_max)


def test_finer_tolerances_converge(make_batch, real_crystals):
    batch = make_batch(*real_crystals[:4])
    model = model_of(lattice_range="radius", radius=16.0, a=1.0)
    model.calibrate(batch)
    state, exact = model.state_dict(), model(batch).detach()
    errors = []
    for tolerance in (0.5, 1e-2, 1e-4, 1e-6):
        model = model_of(lattice_range="tolerance", tolerance=tolerance, a=1.0)
        model.load_state_dict(state)
        errors.append((model(batch) - exact).abs().max().item())
    assert all(first > 3 * second > 0 for first, second in pairwise(errors))


def test_every_range_gives_another_result(make_batch):
    copper = np.array([29]), np.zeros((1, 3)), 1.8075 * (np.ones((3, 3)) - np.eye(3))
    batch = make_batch(copper, (np.array([14, 8]), np.array([[0.0, 0, 0], [1, 1.2, 1.1]]), np.eye(3) * 3.0))
    model = model_of(lattice_range=2, a=2.0)  # a wide spread of sigma
    model.calibrate(batch)
    outputs = {}
    rules = [{"lattice_range": r} for r in (1, 2, 3, "adaptive", "tolerance")]
    rules += [{"lattice_range": "radius", "radius": r} for r in (3.0, 5.0)]
    for rule in rules:
        other = model_of(**rule, a=2.0)
        other.load_state_dict(model.state_dict())
        outputs[str(rule)] = other(batch)[0].item()
    assert len(set(outputs.values())) == len(rules)


def test_listed_images_give_what_a_batch_without_lists_gives(make_batch, real_crystals):
    batch = make_batch(*real_crystals[:6])
    model = model_of(lattice_range="radius", radius=5.0)
    model.calibrate(batch)
    images = model.geometry(batch).images
    listed = ImageBatch(
        **vars(batch),
        image_offsets=images.offsets,
        image_keys=images.key,
        image_distances=images.distance,
        image_radius=5.0,
    )
    assert torch.equal(model(listed), model(batch))
    farther = replace(listed, image_distances=images.distance * 1.1)
    assert not torch.equal(model(farther), model(batch))


@pytest.mark.parametrize("rule", [{"lattice_range": "radius", "radius": 4.9}, {"lattice_range": "tolerance"}])
def test_lists_of_another_radius_are_refused(make_batch, real_crystals, rule):
    batch = make_batch(*real_crystals[:2])
    model = model_of(**rule)
    images = model_of(lattice_range="radius", radius=5.0).geometry(batch).images
    listed = ImageBatch(
        **vars(batch),
        image_offsets=images.offsets,
        image_keys=images.key,
        image_distances=images.distance,
        image_radius=5.0,
    )
    expected = r"image_radius: expected images within .* Å, the radius of the model .*, got .* within 5 Å"
    for call in (model.calibrate, model_of(**rule, decay="unnormalised")):
        with pytest.raises(ValueError, match=expected):
            call(listed)
    for other in ({"lattice_range": 1}, rule | {"frames": "max"}):  # these list the images themselves
        model = model_of(**other, decay="unnormalised")
        assert torch.equal(model(listed), model(batch))


def test_an_isolated_atom_attends_to_itself(make_batch):
    numbers, lattice = np.array([3, 9]), 40.0 * np.eye(3)
    batch = make_batch((numbers, np.array([[0.0, 0, 0], [20, 20, 20]]), lattice))
    model = model_of(lattice_range="radius", radius=6.0)
    images = model.geometry(batch).images
    assert images.key.tolist() == [0, 1]
    assert images.distance.tolist() == [0.0, 0.0]
    model.calibrate(batch)
    assert model(batch).isfinite().all()


def test_positions_and_lattices_stay_differentiable(make_batch, real_crystals):
    batch = make_batch(real_crystals[0])
    model = model_of(lattice_range="radius", radius=4.321)
    model.calibrate(batch)
    positions = batch.positions.clone().requires_grad_()
    model(replace(batch, positions=positions)).sum().backward()
    assert positions.grad.abs().max() > 0
