"""The crystals of the model contract: small ones, each written in all the ways that mean the same.

Eight are random, without two equal distances but those that symmetry demands, and with no atoms closer than
in real crystals. Seven are as symmetric as real ones are: where a rule must choose among neighbours at equal
distance, they show it. All ways of writing them lie in one array store, so that graphs are built once.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.store_writer import write_store

SIZES = (1, 2, 2, 3, 3, 3, 4, 4)  # atoms
ELEMENTS = 83  # up to bismuth, which every table of element properties contains
VOLUME = 18.0  # Å³ per atom
CLOSEST = 1.8  # Å, between atoms
UNKNOWN = 118  # beyond the tables of most models
_CELLS = np.array(list(product((-1, 0, 1), repeat=3)))

Change = Callable[[Crystal, np.random.Generator], Crystal]


def symmetric_crystals() -> list[Crystal]:
    """Rock salt, CsCl, fluorite, a close-packed metal, perovskite, and cubic grids of two elements."""
    face_centred = 1 - np.eye(3)
    hexagonal = np.array([[1, 0, 0], [-0.5, 3**0.5 / 2, 0], [0, 0, 1.62]])
    grid = np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0.5, 0.5, 0]])
    cells = {
        "rock salt": (2.8 * face_centred, [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17]),
        "CsCl": (4.1 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17]),
        "fluorite": (2.7 * face_centred, [[0, 0, 0], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]], [20, 9, 9]),
        "close-packed": (3.2 * hexagonal, [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], [12, 12]),
        "perovskite": (3.9 * np.eye(3), [[0, 0, 0], [0.5] * 3, *(0.5 - 0.5 * np.eye(3))], [38, 22, 8, 8, 8]),
        "oxide grid": (np.diag([5.0, 5.0, 2.5]), grid, [8, 8, 8, 55]),
        "fluoride grid": (np.diag([5.0, 5.0, 2.5]), grid, [9, 9, 9, 19]),
    }
    return [Crystal(name, *cell, targets={"energy": 0.0}) for name, cell in cells.items()]


def random_crystal(rng: np.random.Generator, atoms: int) -> Crystal:
    """A crystal in a skewed cell; redrawn until its atoms keep their distance."""
    while True:
        lattice = np.eye(3) + rng.uniform(-0.25, 0.25, size=(3, 3))
        lattice *= (VOLUME * atoms / abs(np.linalg.det(lattice))) ** (1 / 3)
        frac_coords = rng.random((atoms, 3))
        apart = (frac_coords[:, None, None] - frac_coords[:, None] + _CELLS) @ lattice
        distances = np.linalg.norm(apart, axis=-1)
        if np.sort(distances.ravel())[atoms] > CLOSEST:  # the first are those of each atom to itself
            numbers = rng.choice(np.arange(1, ELEMENTS + 1), size=atoms, replace=False)
            return Crystal("random", lattice, frac_coords, numbers, {"energy": float(rng.normal())})


# --- ways to write the same crystal ------------------------------------------------------------------------


def permuted(c: Crystal, rng: np.random.Generator) -> Crystal:
    order = np.arange(len(c.numbers))[::-1]
    return replace(c, frac_coords=c.frac_coords[order], numbers=c.numbers[order])


def rotated(c: Crystal, rng: np.random.Generator) -> Crystal:
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return replace(c, lattice=c.lattice @ (rotation * np.sign(np.linalg.det(rotation))))


def translated(c: Crystal, rng: np.random.Generator) -> Crystal:
    return replace(c, frac_coords=c.frac_coords + rng.random(3))


def unwrapped(c: Crystal, rng: np.random.Generator) -> Crystal:
    return replace(c, frac_coords=c.frac_coords + rng.integers(-2, 3, size=c.frac_coords.shape))


def other_basis(c: Crystal, rng: np.random.Generator) -> Crystal:
    return _in_basis(c, _unimodular(rng))


def left_handed(c: Crystal, rng: np.random.Generator) -> Crystal:
    """The given cells are right-handed, as near the unit matrix as they are."""
    return _in_basis(c, _unimodular(rng)[[1, 0, 2]])


def supercell(c: Crystal, rng: np.random.Generator) -> Crystal:
    halves = [c.frac_coords * [0.5, 1, 1], c.frac_coords * [0.5, 1, 1] + [0.5, 0, 0]]
    doubled = c.lattice * np.array([[2], [1], [1]])
    return replace(c, lattice=doubled, frac_coords=np.concatenate(halves), numbers=np.tile(c.numbers, 2))


def _unimodular(rng: np.random.Generator) -> np.ndarray:
    """Whole numbers, determinant 1: two shears and a cyclic change of axes."""
    lower, upper = np.tril(rng.integers(-1, 2, (3, 3)), -1), np.triu(rng.integers(-1, 2, (3, 3)), 1)
    return np.roll((np.eye(3) + lower) @ (np.eye(3) + upper), 1, axis=0)


def _in_basis(c: Crystal, change: np.ndarray) -> Crystal:
    return replace(c, lattice=change @ c.lattice, frac_coords=c.frac_coords @ np.linalg.inv(change) % 1)


SAME: dict[str, Change] = {
    "permutation": permuted,
    "rotation": rotated,
    "translation": translated,
    "wrapping": unwrapped,
    "basis": other_basis,
    "left-handed basis": left_handed,
    "supercell": supercell,
}


# --- other crystals ----------------------------------------------------------------------------------------


def stretched(c: Crystal, rng: np.random.Generator) -> Crystal:
    return replace(c, lattice=1.05 * c.lattice)


def other_elements(c: Crystal, rng: np.random.Generator) -> Crystal:
    return replace(c, numbers=c.numbers % ELEMENTS + 1)


DIFFERENT: dict[str, Change] = {"distances": stretched, "elements": other_elements}


# --- the store ---------------------------------------------------------------------------------------------


def as_given(c: Crystal, rng: np.random.Generator) -> Crystal:
    return c


WAYS: dict[str, Change] = {"given": as_given, **SAME, **DIFFERENT}
TIES = " with ties"  # ends the names of cases with the symmetric crystals
CASES = (*WAYS, *(way + TIES for way in ("given", *SAME)))
SAME_CASES = tuple(case for case in CASES if case.removesuffix(TIES) in SAME)


def contract_crystals() -> list[Crystal]:
    """The crystals of each of `CASES`, one case after the other, and last one with an element of Z = 118."""
    rng = np.random.default_rng(20)
    random, symmetric = [random_crystal(rng, atoms) for atoms in SIZES], symmetric_crystals()
    written = [
        replace(WAYS[case.removesuffix(TIES)](crystal, rng), id=f"{case} {number}")
        for case in CASES
        for number, crystal in enumerate(symmetric if case.endswith(TIES) else random)
    ]
    return [*written, replace(random_crystal(rng, 2), id="heavy", numbers=np.array([8, UNKNOWN]))]


def contract_store(folder: Path) -> ArrayStore:
    """`contract_crystals` as an opened store below `folder`."""
    return ArrayStore.open(write_store(folder, "contract", contract_crystals(), {}, {"source": "contract"}))


def rows_of(store: ArrayStore, case: str) -> np.ndarray:
    """Store rows of the crystals of one of `CASES`."""
    return np.array([row for row, id_ in enumerate(store.ids) if id_.rpartition(" ")[0] == case])
