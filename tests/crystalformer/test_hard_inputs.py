"""Crystals that are not nice: the right result, or an error that names the crystal; never a NaN."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from crystalformer_oracle import Settings, random_state, run

from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.official import load_official_state

SHAPE = {"num_layers": 2, "width": 8, "heads": 2, "ff_width": 12, "value_basis": 6, "r_max": 5.0}
SCALES = np.array([[0.9, 0.2], [0.7, -0.3]])
DOMAINS = ["real", "reci", "multihead"]


def state_of(domain="real"):
    state = random_state(np.random.default_rng(0), blocks=2, width=8, heads=2, ff_width=12, basis=6)
    return {name: w for name, w in state.items() if domain != "reci" or "pe_dist_proj" not in name}


def model_of(domain="real", **changes):
    model = Crystalformer(CrystalformerConfig(**SHAPE | {"domain": domain} | changes)).double()
    load_official_state(model, state_of(domain), SCALES)
    return model


HARD = {
    "one atom": ([26], np.zeros((1, 3)), 2.3 * np.eye(3)),
    "left-handed": ([11, 17], [[0.0, 0, 0], [1.9, 1.8, 2.0]], np.diag([3.9, 3.7, -4.1])),
    "coincident atoms": ([8, 26, 8], [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [2.0, 1.0, 0.0]], 3.6 * np.eye(3)),
    "atoms outside the cell": ([8, 26], [[-30.0, 4.0, 9.0], [55.0, 1.0, -20.0]], 3.6 * np.eye(3)),
    "1:40 aspect": ([1, 6, 8], [[0, 0, 3.0], [1.0, 1, 40], [2, 0, 90]], np.diag([2.6, 2.7, 104.0])),
    "sheared": ([1, 6], [[0, 0, 0.0], [1, 1, 1.0]], [[3.0, 0, 0], [11.0, 3.1, 0], [-7.0, 9.0, 3.2]]),
    "planes 0.9 Å apart": ([1, 6], [[0, 0, 0.0], [0.3, 1, 1.0]], np.diag([0.9, 5.0, 5.0])),
    "mostly vacuum": ([1, 6], [[0, 0, 0.0], [1, 1, 1.0]], 60 * np.eye(3)),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("domain", DOMAINS)
def test_odd_crystals_have_the_result_of_the_formulas(make_batch, name, domain):
    numbers, positions, lattice = (np.array(array) for array in HARD[name])
    model = model_of(domain)
    output = model(make_batch((numbers, positions, lattice)))
    settings = Settings(heads=2, r_max=5.0, domain=domain)
    expected = run(state_of(domain), numbers, positions, [lattice], [len(numbers)], settings, SCALES).outputs
    np.testing.assert_allclose(output.detach(), expected, rtol=1e-9, atol=1e-10)
    output.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("kernel", ["cpu", "reference"])
def test_odd_crystals_within_a_radius(make_batch, name, kernel):
    numbers, positions, lattice = (np.array(array) for array in HARD[name])
    model = model_of(lattice_range="radius", radius=4.0, kernel=kernel)
    output = model(make_batch((numbers, positions, lattice)))
    settings = Settings(heads=2, r_max=5.0, lattice_range="radius", radius=4.0)
    expected = run(state_of(), numbers, positions, [lattice], [len(numbers)], settings, SCALES).outputs
    np.testing.assert_allclose(output.detach(), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", HARD)
def test_odd_crystals_in_single_precision(make_batch, name):
    crystal = [np.array(array) for array in HARD[name]]
    for domain in DOMAINS:
        model = model_of(domain)
        expected = model(make_batch(crystal)).item()
        batch = make_batch(crystal, dtype=torch.float32)
        output = model.float()(replace(batch, positions=batch.positions.requires_grad_()))
        assert output.item() == pytest.approx(expected, rel=2e-3)
        output.sum().backward()
        assert batch.positions.grad.isfinite().all()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("frames", ["max", "weighted-pca"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frames_of_odd_crystals_are_numbers(make_batch, name, frames, dtype):
    crystal = [np.array(array) for array in HARD[name]]
    torch.manual_seed(0)
    model = Crystalformer(CrystalformerConfig(**SHAPE, frames=frames, angle_basis=5)).to(dtype)
    batch = make_batch(crystal, dtype=dtype)
    batch = replace(batch, positions=batch.positions.requires_grad_())
    model.calibrate(batch)
    output = model(batch)
    output.sum().backward()
    assert output.isfinite().all()
    assert batch.positions.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.fixture
def cell_and_supercell(random_crystal):
    """A crystal of 6 atoms, and the same as a cell of 600: 5 x 5 x 4 of the first."""
    numbers, positions, lattice = random_crystal(np.random.default_rng(1), 6, 4.0)
    repeats = np.array([5, 5, 4])
    cells = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), -1).reshape(-1, 3) @ lattice
    everywhere = (positions + cells[:, None]).reshape(-1, 3)
    return (numbers, positions, lattice), (
        np.tile(numbers, 100),
        everywhere,
        lattice * repeats[:, None],
    )


@pytest.mark.parametrize("frames", ["none", "max", "weighted-pca"])
def test_six_hundred_atoms_within_a_radius(make_batch, cell_and_supercell, frames):
    """A list of all images within a radius is the same for both."""
    torch.manual_seed(0)
    config = CrystalformerConfig(**SHAPE, frames=frames, angle_basis=5, lattice_range="radius", radius=3.5)
    model = Crystalformer(config).double()
    small, large = (make_batch(crystal) for crystal in cell_and_supercell)
    model.calibrate(small)
    outputs, gradients = [], []
    for batch in (small, large):
        model.zero_grad()
        outputs.append(model(batch).sum())
        outputs[-1].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("domain", DOMAINS)
def test_six_hundred_atoms_are_a_hundred_times_six(make_batch, cell_and_supercell, domain):
    """A supercell is the same crystal, once the sums have converged."""
    small, supercell = cell_and_supercell
    predictions = []
    for crystal, box, waves in ((small, 4, 2), (supercell, 1, 10)):
        model = model_of(domain, a=0.0, lattice_range=box, reciprocal_range=waves).float()
        with torch.no_grad():
            predictions.append(model(make_batch(crystal, dtype=torch.float32)).item())
    assert predictions[1] == pytest.approx(predictions[0], rel=1e-4)


def test_the_heaviest_elements_can_be_made_known(make_batch):
    crystal = np.array([118, 99, 8]), np.eye(3), 3 * np.eye(3)
    with pytest.raises(
        ValueError, match=r"Z from 1 to 98, got Z = 118 in atom 0 .* `elements` can be raised"
    ):
        model_of()(make_batch(crystal))
    torch.manual_seed(0)
    model = Crystalformer(CrystalformerConfig(**SHAPE, elements=118)).double()
    model.calibrate(make_batch(crystal))
    other = np.array([117, 99, 8]), *crystal[1:]
    first, second = model(make_batch(crystal, other)).flatten().tolist()
    assert abs(first - second) > 1e-6
    with pytest.raises(ValueError, match="Z from 1 to 98, got Z = 100"):
        model_of()(make_batch((np.array([100]), np.zeros((1, 3)), np.eye(3))))


GOOD = np.array([8, 1]), np.array([[0.0, 0, 0], [1, 1, 1]]), 3.0 * np.eye(3)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        (
            "positions",
            np.nan,
            r"positions: expected finite numbers, got .*nan.* in atom 1 of crystal 2 of the batch",
        ),
        (
            "positions",
            np.inf,
            r"positions: expected finite numbers, got .*inf.* in atom 1 of crystal 2 of the batch",
        ),
        ("lattices", np.nan, r"lattices: expected finite numbers, got others in crystal 2 of the batch"),
        (
            "lattices",
            0.0,
            r"lattices: expected three cell vectors that span a volume, got 0 Å\^3 in crystal 2",
        ),
        ("numbers", 0, r"numbers: expected atomic numbers Z from 1 to 98, got Z = 0 in atom 1 of crystal 2"),
    ],
)
def test_impossible_crystals_are_named(make_batch, domain, part, value, message):
    """By their place in the batch and their row in the store."""
    batch = make_batch(GOOD, GOOD, GOOD)
    values = getattr(batch, part).clone()
    values[2 if part == "lattices" else 5] = value  # the third crystal, its second atom
    batch = replace(batch, indices=torch.tensor([40, 41, 42]), **{part: values})
    with pytest.raises(ValueError, match=message + r".*\(row 42 of its store\)"):
        model_of(domain)(batch)
    with pytest.raises(ValueError, match=message):
        model_of(domain).calibrate(batch)


@pytest.mark.parametrize(
    "rule", [{"lattice_range": "radius"}, {"lattice_range": "adaptive"}, {"lattice_range": "tolerance"}]
)
@pytest.mark.parametrize("frames", ["none", "max"])
def test_a_cell_too_small_to_be_listed_is_named(make_batch, rule, frames):
    """Such as one in nanometres; the lists would not end."""
    small = *GOOD[:2], 0.05 * np.eye(3)
    batch = replace(make_batch(GOOD, small), indices=torch.tensor([40, 41]))
    config = CrystalformerConfig(**SHAPE, **rule, frames=frames, decay="fixed")
    with pytest.raises(ValueError, match=r"crystal 1 of the batch \(row 41 of its store\)"):
        Crystalformer(config).double()(batch)


def test_a_lattice_that_is_flat_but_for_rounding_is_refused(make_batch):
    lattice = np.array([[3.0, 0, 0], [0, 3.0, 0], [1.0, 2.0, 1e-8]])
    with pytest.raises(ValueError, match="span a volume, got 9e-08"):
        model_of()(make_batch((*GOOD[:2], lattice)))
