"""What a reader knows a crystal by: its formula, its elements and its space group.

Formulas are pymatgen's, space groups spglib's (A. Togo et al., Sci. Technol. Adv. Mater. Meth. 4, 2384822,
2024). A space group takes milliseconds, and hundreds for a large cell, so they are found once per set of
crystals, by all cores, and kept beside the store.
"""

import hashlib
import multiprocessing
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from crystalformer.data.array_cache import cores, open_arrays, with_progress
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.array_writers import ArrayWriter
from crystalformer.data.crystal import Crystal

SYMMETRY_TOLERANCE = 0.1  # Å by which atoms may lie off their places; that of the Materials Project
NOT_FOUND = 0  # the space group of a crystal whose symmetry search failed
FEW = 400  # crystals for which starting further processes takes longer than it saves
PORTION = 50  # crystals that a process takes at a time

Cell = tuple[np.ndarray, np.ndarray, np.ndarray]  # lattice in Å, fractional coordinates, kinds of atoms


@dataclass(frozen=True)
class Description:
    """One crystal: its reduced formula, the symbols of its elements by atomic number, the atoms in its cell,
    and the number of its space group, 1 to 230, or `NOT_FOUND`.
    """

    id: str
    formula: str
    elements: tuple[str, ...]
    atoms: int
    space_group: int


def describe(store: ArrayStore, rows: np.ndarray, cache: Path) -> list[Description]:
    """The crystals of these rows of the store, in their order; `cache` keeps their space groups."""
    groups = space_groups(store, rows, cache).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that noble gases have no electronegativity to order a formula by
        return [
            Description(crystal.id, *composition(crystal), len(crystal), group)
            for crystal, group in zip(map(store.crystal, rows.tolist()), groups, strict=True)
        ]


def composition(crystal: Crystal) -> tuple[str, tuple[str, ...]]:
    """Reduced formula and elements; the elements of a mixed site count with their fractions."""
    from pymatgen.core import Composition, Element

    amounts: Counter[int] = Counter(crystal.numbers.tolist())
    mixed = np.asarray(crystal.mixed)
    for site in set(mixed[:, 0].astype(int).tolist()):
        amounts[int(crystal.numbers[site])] -= 1
    for _, z, fraction in mixed.tolist():
        amounts[int(z)] += fraction
    symbols = {
        Element.from_Z(z).symbol: round(amount, 4) for z, amount in sorted(amounts.items()) if amount > 1e-9
    }
    return Composition(symbols).reduced_formula, tuple(symbols)


def space_groups(store: ArrayStore, rows: np.ndarray, cache: Path) -> np.ndarray:
    """Numbers of the space groups of these rows, (rows,) int16; `NOT_FOUND` where the search failed."""
    import spglib

    identity = {
        "rule": "space groups",
        "tolerance": SYMMETRY_TOLERANCE,
        "spglib": spglib.__version__,
        "rows": hashlib.sha256(np.ascontiguousarray(rows, dtype="<i8").data).hexdigest(),
    }

    def build(writer: ArrayWriter) -> None:
        writer.save("numbers", _found(list(map(partial(_cell, store), rows.tolist()))))

    return open_arrays(store, cache, "space-groups", identity, build)["numbers"]


def _cell(store: ArrayStore, row: int) -> Cell:
    """What decides about the symmetry; sites with different mixtures of elements are different kinds."""
    crystal = store.crystal(row)
    mixtures: dict[int, tuple[tuple[float, float], ...]] = {}
    for site, z, fraction in np.asarray(crystal.mixed).tolist():
        mixtures[int(site)] = (*mixtures.get(int(site), ()), (z, round(fraction, 4)))
    kinds: dict[object, int] = {}
    atoms = [mixtures.get(site, z) for site, z in enumerate(crystal.numbers.tolist())]
    numbers = np.array([kinds.setdefault(atom, len(kinds) + 1) for atom in atoms], dtype=np.int32)
    return np.array(crystal.lattice), np.array(crystal.frac_coords), numbers


def _found(cells: list[Cell]) -> np.ndarray:
    if len(cells) <= FEW or cores() == 1:
        return np.array(list(map(space_group, cells)), dtype=np.int16)
    spawned = multiprocessing.get_context("spawn")  # a fork would copy the locks of other threads
    with ProcessPoolExecutor(cores(), mp_context=spawned) as pool:
        found = pool.map(space_group, cells, chunksize=PORTION)
        return np.array(list(with_progress(found, len(cells), "space groups")), dtype=np.int16)


def space_group(cell: Cell) -> int:
    """The number of a cell's space group, 1 to 230, or `NOT_FOUND`."""
    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how spglib announces that it will raise
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=SYMMETRY_TOLERANCE)  # type: ignore[arg-type]
        except spglib.SpglibError:
            return NOT_FOUND
    return NOT_FOUND if found is None else int(found.number)
