"""Between pymatgen's structures and arrays: the elements of each site, with their fractions."""

from typing import TYPE_CHECKING, Any

import numpy as np

from crystalformer.data.crystal import Crystal
from crystalformer.data.mixed_sites import ELEMENTS

if TYPE_CHECKING:
    from pymatgen.core import Structure

FULL = 1e-6  # by which the fraction of a site's only element may differ from 1

Arrays = tuple[Any, Any, Any, Any]  # lattice, fractional coordinates, numbers, rows of mixed sites


class StructureError(ValueError):
    """One structure cannot be read; the crystal is rejected with this reason."""


def arrays_of(structure: "Structure") -> Arrays:
    """With the most frequent element of each site, the lightest of equals, and the rows of mixed sites.

    Raises:
        StructureError: a site without an element, or with something else.
    """
    numbers: list[int] = []
    mixed: list[tuple[int, int, float]] = []
    for index, site in enumerate(structure):
        shares: dict[int, float] = {}
        for specie, fraction in site.species.items():
            z = _atomic_number(specie)
            shares[z] = shares.get(z, 0.0) + float(fraction)
        if not shares:
            raise StructureError(f"expected an element on every site, got none on site {index + 1}")
        numbers.append(min(shares, key=lambda z: (-shares[z], z)))
        if len(shares) > 1 or abs(shares[numbers[-1]] - 1) > FULL:
            mixed += [(index, z, fraction) for z, fraction in shares.items()]
    return structure.lattice.matrix, structure.frac_coords, np.array(numbers), mixed


def structure_of(crystal: Crystal) -> "Structure":
    """pymatgen's structure of a crystal; atoms have no charges and no other properties."""
    from pymatgen.core import Element, Lattice, Structure

    species: list[Any] = [Element.from_Z(int(z)) for z in crystal.numbers]
    mixed = np.asarray(crystal.mixed)
    for site in {int(row[0]) for row in mixed}:
        species[site] = {Element.from_Z(int(z)): share for _, z, share in mixed[mixed[:, 0] == site]}
    return Structure(Lattice(crystal.lattice), species, crystal.frac_coords)


def _atomic_number(specie: Any) -> int:
    number = getattr(specie, "Z", None)
    if not isinstance(number, int) or not 1 <= number <= ELEMENTS:  # a hash, of dummy species
        raise StructureError(f"expected chemical elements, got {specie}")
    return number
