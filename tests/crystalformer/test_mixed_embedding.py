"""The model on mixed sites: the fraction-weighted sum of the rows of their elements."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from crystalformer_oracle import Settings, random_state, run

from crystalformer.data.mixed_sites import occupancy
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.official import evaluate

SCALES = np.array([[0.9, 0.2], [0.7, -0.3]])


@pytest.fixture
def crystals(random_crystal):
    """Two crystals as (shares, positions, lattice), and their numbers."""
    rng = np.random.default_rng(5)
    found = [random_crystal(rng, atoms, 4.0, left_handed=atoms == 2) for atoms in (4, 2)]
    shares = np.zeros((6, 98))
    shares[np.arange(6), np.concatenate([numbers for numbers, *_ in found]) - 1] = 1
    shares[1] = 0
    shares[1, [25, 27, 28]] = 0.5, 0.3, 0.2
    shares[4] = 0
    shares[4, 10] = 0.35  # and a vacancy
    return [(shares[:4], *found[0][1:]), (shares[4:], *found[1][1:])]


@pytest.mark.parametrize("domain", ["real", "reci", "multihead"])
@pytest.mark.parametrize("scales", [SCALES, None])
def test_shares_have_the_result_of_the_formulas(crystals, domain, scales):
    state = random_state(np.random.default_rng(0))
    shares, positions, lattices = zip(*crystals, strict=True)
    settings = Settings(heads=2, domain=domain, lattice_range=2)
    arrays = np.concatenate(shares), np.concatenate(positions), np.stack(lattices), [4, 2]
    expected = run(state, *arrays, settings, scales).outputs
    found = evaluate(
        state, crystals, domain=domain, lattice_range=2, adaptive=False, gauss_scale=scales, dtype="float64"
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_shares_of_whole_atoms_are_their_numbers(random_crystal):
    rng = np.random.default_rng(1)
    state = random_state(rng)
    numbers, positions, lattice = random_crystal(rng, 3, 4.0)
    rows = occupancy(numbers, np.empty((0, 3)))
    options = {"domain": "real", "lattice_range": 1, "adaptive": True, "gauss_scale": SCALES}
    first, second = (
        evaluate(state, [(species, positions, lattice)], dtype="float64", **options)
        for species in (numbers, rows[:, :98])
    )
    assert first == second


def test_the_embedding_learns_from_every_element_of_a_site(make_batch):
    torch.manual_seed(0)
    model = Crystalformer(CrystalformerConfig(num_layers=1, width=8, heads=2, ff_width=8)).double()
    batch = make_batch((np.array([26, 8]), np.array([[0.0, 0, 0], [1.8, 1.8, 1.8]]), 3.6 * np.eye(3)))
    shares = occupancy(np.array([26, 8]), np.array([[0, 26, 0.75], [0, 28, 0.25]]))
    batch = replace(batch, occupancy=torch.from_numpy(shares).double())
    model.calibrate(batch)
    model(batch).sum().backward()
    grad = model.embedding.weight.grad
    torch.testing.assert_close(grad[27], grad[25] / 3)
    assert grad.abs().sum(1).nonzero().flatten().tolist() == [7, 25, 27]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([[0, 26, 0.5], [0, 110, 0.4]], "Z from 1 to 98, got a share of Z = 110 in atom 0 of crystal 1"),
        ([[0, 26, -0.1]], "got -0.1 in all in atom 0 of crystal 1 of the batch"),
        ([[0, 26, 0.9], [0, 28, 0.2]], "got 1.1 in all in atom 0 of crystal 1 of the batch"),
        ([[0, 26, 0.0]], "got 0 in all in atom 0 of crystal 1 of the batch"),
        ([[0, 26, np.nan]], "got nan in all in atom 0 of crystal 1 of the batch"),
    ],
)
def test_impossible_shares_are_named(make_batch, row, message):
    crystal = np.array([26]), np.zeros((1, 3)), 3.0 * np.eye(3)
    rows = np.array(row) + np.array([1, 0, 0])
    shares = torch.from_numpy(occupancy(np.array([26, 26]), rows)).double()
    model = Crystalformer(CrystalformerConfig(num_layers=1, width=8, heads=2, ff_width=8)).double()
    with pytest.raises(ValueError, match=rf"occupancy: expected .*{message}"):
        model.calibrate(replace(make_batch(crystal, crystal), occupancy=shares))
