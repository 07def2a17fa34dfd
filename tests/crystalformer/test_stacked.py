"""Stacked networks say what each of them says alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crystalformer.data.mixed_sites import occupancy
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.stacked import alike, stacked

SMALL = {"num_layers": 2, "width": 8, "heads": 2, "ff_width": 12, "value_basis": 6, "r_max": 5.0}


@pytest.fixture
def batch(make_batch, random_crystal):
    rng = np.random.default_rng(2)
    return make_batch(*(random_crystal(rng, atoms, 4.2) for atoms in (3, 1, 5)))


def networks_of(batch, depths, **changes):
    """Random networks of these numbers of blocks, calibrated on the batch."""
    networks = []
    for seed, depth in enumerate(depths):
        torch.manual_seed(seed)
        network = Crystalformer(CrystalformerConfig(**SMALL | changes | {"num_layers": depth})).double()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        network.calibrate(batch)
        networks.append(network.eval())
    return networks


CASES = {
    "a box": {"lattice_range": 1},
    "the adaptive box": {"lattice_range": "adaptive", "minimum_box": 0},
    "a radius, without psi": {"lattice_range": "radius", "radius": 5.0, "value_basis": 0},
    "two targets": {"lattice_range": "tolerance", "tolerance": 1e-3, "targets": 2, "output_width": 5},
}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("depths", [(2, 2, 2), (1, 3, 2, 3)], ids=str)
def test_the_numbers_are_those_of_each_network_alone(batch, depths, changes):
    networks = networks_of(batch, depths, **changes)
    together = stacked(networks)
    assert together is not None
    with torch.no_grad():
        alone = torch.stack([network(batch) for network in networks])
        found = together(batch)
    assert len({tuple(row) for row in alone[:, :, 0].tolist()}) == len(depths)  # the networks differ
    torch.testing.assert_close(found, alone, rtol=1e-12, atol=1e-12)


def test_mixed_sites_are_embedded_by_their_shares(batch):
    networks = networks_of(batch, (2, 1), lattice_range=1)
    mixed = replace(
        batch,
        occupancy=torch.from_numpy(
            occupancy(batch.numbers.numpy(), np.array([[0, int(batch.numbers[0]), 0.6], [0, 9, 0.4]]))
        ).double(),
    )
    together = stacked(networks)
    with torch.no_grad():
        torch.testing.assert_close(together(mixed), torch.stack([network(mixed) for network in networks]))
        assert not torch.allclose(together(mixed), together(batch))


def test_an_impossible_batch_is_refused_as_before(batch):
    together = stacked(networks_of(batch, (1, 1), lattice_range=1))
    with pytest.raises(ValueError, match="numbers: expected atomic numbers Z from 1 to 98, got Z = 0"):
        together(replace(batch, numbers=batch.numbers * 0))


@pytest.mark.parametrize(
    "changes", [{"decay": "fixed"}, {"norm": "pre"}, {"domain": "real-reci"}, {"frames": "max"}], ids=str
)
def test_other_forms_of_attention_are_not_stacked(batch, changes):
    assert stacked(networks_of(batch, (2, 2), lattice_range=1, **changes)) is None


def test_networks_that_are_not_alike_or_not_calibrated_are_not_stacked(batch):
    one, other = networks_of(batch, (2, 2), lattice_range=1)
    assert alike(one.config, replace(other.config, num_layers=5))
    assert not alike(one.config, replace(other.config, r0=1.5))
    wider = networks_of(batch, (2,), lattice_range=2)
    assert stacked([one, *wider]) is None
    assert stacked([one, Crystalformer(one.config)]) is None
