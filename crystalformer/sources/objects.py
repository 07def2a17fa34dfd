"""Structures that other Python code holds -> `Crystal`s, without importing that code.

| what | recognised by |
|---|---|
| `Crystal` | its type |
| pymatgen `Structure` | `lattice.matrix`, `frac_coords` and sites with `species` |
| ASE `Atoms` | `get_atomic_numbers`, `get_scaled_positions` and `cell` |
| a mapping | the keys `species` (Z), `lattice` (Å, rows are the cell vectors) and `frac`; `id` if wanted |
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from crystalformer.data.crystal import Crystal
from crystalformer.sources.sites import StructureError, arrays_of

KEYS = {"species", "lattice", "frac"}
EXPECTED = "a pymatgen Structure, ASE Atoms, a Crystal or a mapping with species, lattice and frac"


def is_structure(value: Any) -> bool:
    """Whether `value` is one structure, not several of them (a structure may be a collection itself)."""
    return isinstance(value, Crystal | Mapping) or _is_pymatgen(value) or _is_ase(value)


def as_crystal(structure: Any, id_: str) -> Crystal:
    """One structure as a crystal, with atoms in their order; `id_` unless it brings its own.

    Raises:
        ValueError: it is none of the above, is not periodic in all three directions, or makes no crystal.
    """
    if isinstance(structure, Crystal):
        return replace(structure, targets={}) if structure.targets else structure
    if isinstance(structure, Mapping):
        missing = KEYS - structure.keys()
        if missing:
            raise StructureError(f"expected {EXPECTED}, got one without {', '.join(sorted(missing))}")
        own = str(structure.get("id", id_))
        return Crystal(own, structure["lattice"], structure["frac"], structure["species"])
    if _is_pymatgen(structure):
        lattice, frac_coords, numbers, mixed = arrays_of(structure)
        return Crystal(id_, lattice, frac_coords, numbers, mixed=mixed)
    if _is_ase(structure):
        return _from_ase(structure, id_)
    raise StructureError(f"expected {EXPECTED}, got {type(structure).__name__}")


def _is_pymatgen(value: Any) -> bool:
    return hasattr(value, "lattice") and hasattr(value, "frac_coords")


def _is_ase(value: Any) -> bool:
    return hasattr(value, "get_atomic_numbers") and hasattr(value, "get_scaled_positions")


def _from_ase(atoms: Any, id_: str) -> Crystal:
    periodic = np.asarray(atoms.pbc)
    if not periodic.all():
        raise StructureError(
            f"expected atoms that are periodic in three directions, got pbc = {periodic.tolist()}; "
            "where the cell is meant to repeat, set atoms.pbc = True"
        )
    lattice = np.asarray(atoms.cell[:])
    numbers = atoms.get_atomic_numbers()
    if abs(np.linalg.det(lattice)) == 0:  # ASE has no fractional coordinates then
        return Crystal(id_, lattice, np.zeros((len(numbers), 3)), numbers)
    return Crystal(id_, lattice, atoms.get_scaled_positions(wrap=False), numbers)
