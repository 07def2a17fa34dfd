"""Which cell of a crystal is stored: the one of the source, or a standard one. Symmetry is pymatgen's and spglib's.

| `cell` | meaning |
|---|---|
| `as-given` | the cell, the order of atoms and the coordinates of the source |
| `primitive-standard` | pymatgen's `get_primitive_standard_structure` (Setyawan & Curtarolo, Comput. Mater. Sci. 49 (2010) 299), with its default tolerance of 0.01 Å: what the papers of Crystalformer train on |
| `niggli` | the Niggli-reduced cell of the cell given (Grosse-Kunstleve et al., Acta Cryst. A 60 (2004) 1) |
"""  # noqa: E501

import warnings
from typing import TYPE_CHECKING

import numpy as np

from crystalformer.data.cell_names import AS_GIVEN, CELLS, PRIMITIVE
from crystalformer.data.crystal import Crystal
from crystalformer.sources.sites import arrays_of, structure_of

if TYPE_CHECKING:
    from pymatgen.core import Structure

RESOLUTION = 2.0**-32
"""Å and of a cell vector, 2.3e-10: what coordinates of a cell that was found are multiples of. The last
digits of what linear algebra finds depend on the processor, and what is stored must not. The step is binary
because a decimal number, as sources have them, hardly ever lies half way between two of them."""


def with_cell(crystal: Crystal, cell: str) -> Crystal:
    """The same crystal described by another cell, see the module; mixed sites keep their fractions.

    Coordinates are rounded (`RESOLUTION`), the fractional ones into [0, 1): the same on every machine.

    Raises:
        ValueError: the cell cannot be found.
    """
    if cell == AS_GIVEN:
        return crystal
    if cell not in CELLS:
        raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
    structure = structure_of(crystal)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _primitive(structure) if cell == PRIMITIVE else structure.get_reduced_structure("niggli")
    except Exception as error:  # of many kinds, from pymatgen and spglib
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"crystal {crystal.id!r}: cell {cell}: not found ({reason[:200]})") from error
    lattice, frac_coords, numbers, mixed = arrays_of(found)
    frac_coords = _rounded(frac_coords) % 1.0  # 1 - 1e-16 and 0 are the same place
    return Crystal(crystal.id, _rounded(lattice), frac_coords, numbers, crystal.targets, crystal.split, mixed)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values / RESOLUTION) * RESOLUTION + 0.0  # no -0


def _primitive(structure: "Structure") -> "Structure":
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    return SpacegroupAnalyzer(structure).get_primitive_standard_structure()
