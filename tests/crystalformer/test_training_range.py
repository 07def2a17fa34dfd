"""What counts as outside of the training crystals, and the distance of the two closest atoms."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalformer.data.catalog import DATASETS
from crystalformer.data.crystal import Crystal
from crystalformer.data.elements import SYMBOLS
from crystalformer.data.training_range import TrainingRange, closest_atoms
from crystalformer.sources.bundled import read_bundled

CUBE = 4.0 * np.eye(3)
CSCL = Crystal("CsCl", CUBE, [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])


def brute_force(crystal: Crystal) -> float:
    cells = np.array(list(itertools.product(range(-4, 5), repeat=3)))
    frac = crystal.frac_coords % 1
    shifts = frac[:, None, None] - frac[None, :, None] + cells
    distances = np.linalg.norm(shifts @ crystal.lattice, axis=-1)
    own = np.eye(len(crystal), dtype=bool)[:, :, None] & (cells == 0).all(1)
    return float(distances[~own].min())


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_closest_atoms_are_found_in_any_cell(seed: int, atoms: int) -> None:
    rng = np.random.default_rng(seed)
    lattice = np.eye(3) * rng.uniform(2, 8, 3) + rng.uniform(-0.7, 0.7, (3, 3))
    crystal = Crystal("c", lattice, rng.uniform(-1, 2, (atoms, 3)), [1] * atoms)
    other = Crystal("other", lattice * 3, crystal.frac_coords, [1] * atoms)
    expected = [brute_force(crystal), brute_force(other)]
    assert closest_atoms([crystal, other]) == pytest.approx(expected, rel=1e-9)


def test_close_packing_is_the_farthest_that_atoms_can_be_apart() -> None:
    fcc = Crystal("fcc", 2.0 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), [[0, 0, 0]], [29])
    assert closest_atoms([fcc]) == pytest.approx(2 * 2**0.5)
    both = Crystal("two atoms at one place", CUBE, [[0.1, 0, 0], [1.1, 0, 0]], [1, 2])
    assert closest_atoms([both]) == pytest.approx(0, abs=1e-9)


def test_a_training_crystal_is_inside_and_survives_json() -> None:
    crystals = read_bundled(DATASETS["mp-elastic-2015"])[:80]
    seen = TrainingRange.of(crystals)
    assert seen.crystals == 80
    assert not any(seen.warnings(crystals))
    assert TrainingRange.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen


def test_each_way_to_be_outside_is_told() -> None:
    seen = TrainingRange.of([CSCL, Crystal("NaCl", CUBE * 1.2, CSCL.frac_coords, [11, 17])])
    corners = list(itertools.product([0.0, 0.5], repeat=3))
    far = {
        Crystal("K", CUBE, CSCL.frac_coords, [19, 17]): ["K not in any of the 2 training crystals"],
        Crystal("F", CUBE, CSCL.frac_coords, [55, 17], mixed=[(1, 17, 0.6), (1, 9, 0.4)]): [
            "F not in any of the 2 training crystals"
        ],
        Crystal("8", CUBE * 4 ** (1 / 3), corners, [55] * 8): [
            "8 atoms in the cell, at most 2 in training",
        ],
        Crystal("large", CUBE * 3, CSCL.frac_coords, [55, 17]): [
            "a volume per atom of 864 Å^3, 32 to 55.3 in training",
            "the closest atoms 10.4 Å apart, 3.46 to 4.16 in training",
        ],
        Crystal("overlap", CUBE, [[0, 0, 0], [0, 0, 0.1]], [55, 17]): [
            "the closest atoms 0.4 Å apart, 3.46 to 4.16 in training",
        ],
    }
    assert seen.warnings([CSCL, *far]) == [[], *far.values()]


def test_a_flat_cell_spoils_no_other() -> None:
    seen = TrainingRange.of([CSCL])
    flat = Crystal("flat", np.diag([1e-6, 1e3, 1e3]), [[0, 0, 0]], [55])
    ordinary, told = seen.warnings([CSCL, flat])
    assert ordinary == []
    assert told[-1] == "a cell so flat that its closest atoms were not searched"


def test_the_symbols_are_those_of_pymatgen() -> None:
    from pymatgen.core import Element

    assert tuple(Element.from_Z(z).symbol for z in range(1, 119)) == SYMBOLS
