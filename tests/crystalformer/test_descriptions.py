"""Formulas, elements and space groups: of crystals that textbooks name, by one process as by several."""

from pathlib import Path

import numpy as np
import pytest

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.store_writer import write_store
from crystalformer.sources import descriptions
from crystalformer.sources.descriptions import NOT_FOUND, Description, describe, space_groups

FCC = 0.5 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
HEX = np.array([[1.0, 0, 0], [-0.5, np.sqrt(3) / 2, 0], [0, 0, 1.0]])
FACES = [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
THIRDS = [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]

# International Tables: Fm-3m, Fd-3m, Pm-3m, P6_3/mmc, and P1 for atoms in no order at all.
CRYSTALS = [
    Crystal("rock salt", 5.64 * FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17]),
    Crystal("diamond", 3.567 * FCC, [[0, 0, 0], [0.25, 0.25, 0.25]], [6, 6]),
    Crystal("perovskite", 3.9 * np.eye(3), [[0, 0, 0], [0.5] * 3, *FACES], [38, 22, 8, 8, 8]),
    Crystal("magnesium", HEX * [3.21, 3.21, 5.21], THIRDS, [12, 12]),
    Crystal("disorder", np.diag([5.0, 6.0, 7.0]), np.random.default_rng(0).random((5, 3)), [8, 8, 14, 20, 1]),
    Crystal("bent", 5.64 * FCC, [[0.01, 0, 0], [0.5, 0.5, 0.5]], [11, 17]),  # 0.04 Å, within the tolerance
    Crystal("helium", 4.2 * FCC, [[0, 0, 0]], [2]),
    # One site that two elements share: half of the cells are caesium chloride with another cation.
    Crystal("mixed", 4 * np.eye(3), [[0, 0, 0], [0.5] * 3], [11, 17], mixed=[[0, 11, 0.5], [0, 19, 0.25]]),
]  # fmt: skip
EXPECTED = [
    Description("rock salt", "NaCl", ("Na", "Cl"), 2, 225),
    Description("diamond", "C", ("C",), 2, 227),
    Description("perovskite", "SrTiO3", ("O", "Ti", "Sr"), 5, 221),
    Description("magnesium", "Mg", ("Mg",), 2, 194),
    Description("disorder", "CaSiHO2", ("H", "O", "Si", "Ca"), 5, 1),
    Description("bent", "NaCl", ("Na", "Cl"), 2, 225),
    Description("helium", "He", ("He",), 1, 225),
    Description("mixed", "K0.25Na0.5Cl1", ("Na", "Cl", "K"), 2, 221),
]


@pytest.fixture
def store(tmp_path: Path) -> ArrayStore:
    return ArrayStore.open(write_store(tmp_path, "named", CRYSTALS, {}, {}))


@pytest.mark.filterwarnings("error")
def test_crystals_of_textbooks(store: ArrayStore, tmp_path: Path) -> None:
    assert describe(store, np.arange(len(store)), tmp_path / "cache") == EXPECTED
    assert describe(store, np.array([3, 1]), tmp_path / "cache") == [EXPECTED[3], EXPECTED[1]]


def test_mixtures_are_kinds_of_their_own(tmp_path: Path) -> None:
    """Four sites of fcc in a cube: alike, Fm-3m or one smaller; with one mixed site, Pm-3m."""
    places = [[0, 0, 0], *FACES]
    pure = Crystal("pure", 4 * np.eye(3), places, [29] * 4)
    mixed = Crystal("one", 4 * np.eye(3), places, [29] * 4, mixed=[[0, 29, 0.6], [0, 79, 0.4]])
    store = ArrayStore.open(write_store(tmp_path, "copper", [pure, mixed], {}, {}))
    assert space_groups(store, np.arange(2), tmp_path / "cache").tolist() == [225, 221]


def test_atoms_on_one_place_have_no_symmetry_and_stop_nothing(tmp_path: Path) -> None:
    twice = Crystal("twice", 4 * np.eye(3), [[0, 0, 0], [0, 0, 1e-4]], [1, 1])
    store = ArrayStore.open(write_store(tmp_path, "odd", [twice, CRYSTALS[0]], {}, {}))
    found = describe(store, np.arange(2), tmp_path / "cache")
    assert [(each.formula, each.space_group) for each in found] == [("H2", NOT_FOUND), ("NaCl", 225)]


def test_several_processes_find_the_same_and_the_second_time_nothing_is_searched(
    store: ArrayStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(len(store))
    alone = space_groups(store, rows, tmp_path / "alone")
    monkeypatch.setattr(descriptions, "FEW", 1)
    monkeypatch.setattr(descriptions, "cores", lambda: 2)
    assert space_groups(store, rows, tmp_path / "cache").tolist() == alone.tolist()
    monkeypatch.setattr(descriptions, "_found", lambda cells: pytest.fail("searched again"))
    assert space_groups(store, rows, tmp_path / "cache").tolist() == alone.tolist()
