"""The potentials of a data set: what is stored, and how batches get it."""

import numpy as np
import pytest
import torch

from baselines.graphs import pair_potentials
from baselines.graphs.lattice_sums import lattice_sums
from baselines.graphs.pair_potentials import PairPotentials, open_potentials
from baselines.graphs.potential_batch import PotentialBatches
from baselines.graphs.shells import NearestShells
from crystalformer.data.crystal import Crystal

CUBE = Crystal("cube", 4 * np.eye(3), np.array([[0.3, 0.2, 0.1], [0, 0, 0]]), np.array([11, 17]), {})


def test_potentials_are_the_weighted_sums() -> None:
    sums = lattice_sums(CUBE.lattice, CUBE.frac_coords, 3.0)
    expected = -0.801 * sums.coulomb - 0.074 * sums.london + 0.145 * sums.pauli
    found = PairPotentials(pauli="paper").potentials(CUBE.lattice, CUBE.frac_coords)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_released_repulsion_has_the_range_of_the_published_code() -> None:
    only = {"coulomb": 0.0, "london": 0.0, "repulsion": 1.0}
    values = {
        pauli: PairPotentials(**only, pauli=pauli).potentials(CUBE.lattice, CUBE.frac_coords)[0, 1]
        for pauli in ("paper", "released")
    }
    assert values["paper"] == pytest.approx(0.0114162619, rel=1e-8)
    assert values["released"] == pytest.approx(0.133745, abs=1e-6)  # what the published code returns


def test_lists_hold_the_potentials_of_each_crystal(store_of, random_crystals, tmp_path, monkeypatch) -> None:
    crystals = random_crystals(7)
    store, rule = store_of(crystals), PairPotentials()
    monkeypatch.setattr(pair_potentials, "CHUNK", 3)
    lists = open_potentials(store, tmp_path / "one", rule, workers=1)
    for row, crystal in enumerate(crystals):
        found = lists.potentials[lists.offsets[row] : lists.offsets[row + 1]]
        expected = rule.potentials(crystal.lattice, crystal.frac_coords)
        np.testing.assert_allclose(found, expected.reshape(-1), rtol=1e-6)
    monkeypatch.setattr(pair_potentials, "SERIAL", 0)
    shared = open_potentials(store, tmp_path / "two", rule, workers=2)
    np.testing.assert_array_equal(shared.potentials, lists.potentials)
    paper = open_potentials(store, tmp_path / "one", PairPotentials(pauli="paper"))
    assert (paper.potentials != lists.potentials).any()


def test_a_batch_has_all_pairs_of_each_crystal(store_of, random_crystals, tmp_path) -> None:
    crystals = random_crystals(4)
    make = PotentialBatches(
        store_of(crystals), np.zeros((4, 1)), tmp_path, NearestShells(3), PairPotentials(), last_element=118
    )
    rows = [2, 0, 3]
    batch = make(np.array(rows))
    pairs, first = [], 0
    for row in rows:
        s = PairPotentials().potentials(crystals[row].lattice, crystals[row].frac_coords)
        pairs += [(first + i, first + j, s[i, j]) for i in range(len(s)) for j in range(len(s))]
        first += len(s)
    i, j, s = zip(*pairs, strict=True)
    assert batch.pair_centers.tolist() == list(i)
    assert batch.pair_neighbors.tolist() == list(j)
    np.testing.assert_allclose(batch.pair_potentials, s, rtol=1e-6)
    moved = batch.to("cpu", torch.float64)
    assert moved.pair_potentials.dtype == torch.float64
    assert moved.pair_centers.dtype == torch.int64


def test_a_crystal_without_potentials_is_named(store_of, tmp_path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("expected something else")

    monkeypatch.setattr(pair_potentials, "lattice_sums", refuse)
    with pytest.raises(ValueError, match="crystal cube: expected something else"):
        open_potentials(store_of([CUBE]), tmp_path, PairPotentials())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pauli": "both"}, "pauli: expected 'released' or 'paper', got 'both'"),
        ({"decay": -1.0}, r"decay: expected above 0, got -1\.0"),
    ],
)
def test_bad_settings_are_named(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        PairPotentials(**settings)
