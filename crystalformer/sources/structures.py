"""A record's structure as a `Crystal`: CIF, POSCAR and pymatgen's JSON are read by pymatgen.

pymatgen takes seconds to import, so it is imported when the first such structure is read; records that
hold arrays never need it.
"""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crystalformer.data.crystal import Crystal
from crystalformer.data.mixed_sites import ELEMENTS
from crystalformer.sources.records import Record

if TYPE_CHECKING:
    from pymatgen.core import Structure

CIF_SUFFIXES = (".cif", ".mcif")
POSCAR_SUFFIXES = (".vasp", ".poscar")
FULL = 1e-6  # by which the fraction of a site's only element may differ from 1


class StructureError(ValueError):
    """One structure cannot be read; the crystal is rejected with this reason."""


def to_crystal(record: Record) -> Crystal:
    """Read the record's structure, with atoms in the order of the source and coordinates as they are.

    A site that several elements share, or that is partly empty, gets its fractions (`Crystal.mixed`). Species
    of one element that differ by their charge only count as one.

    Raises:
        ValueError: the structure cannot be read, or makes no crystal (see `Crystal`).
    """
    if record.kind == "arrays":
        lattice, frac_coords, numbers = (record.payload[key] for key in ("lattice", "frac", "species"))
        return Crystal(record.id, lattice, frac_coords, numbers, record.targets, record.split)
    structure = _read(record)
    numbers, mixed = _elements(structure)
    lattice, frac_coords = structure.lattice.matrix, structure.frac_coords
    return Crystal(record.id, lattice, frac_coords, numbers, record.targets, record.split, mixed)


def _elements(structure: "Structure") -> tuple[np.ndarray, list[tuple[int, int, float]]]:
    """The most frequent element of each site, the lightest of equals, and the rows of mixed sites."""
    numbers: list[int] = []
    mixed: list[tuple[int, int, float]] = []
    for index, site in enumerate(structure):
        shares: dict[int, float] = {}
        for specie, fraction in site.species.items():
            z = _atomic_number(specie)
            shares[z] = shares.get(z, 0.0) + float(fraction)
        if not shares:
            raise StructureError(f"expected an element on every site, got none on site {index}")
        numbers.append(min(shares, key=lambda z: (-shares[z], z)))
        if len(shares) > 1 or abs(shares[numbers[-1]] - 1) > FULL:
            mixed += [(index, z, fraction) for z, fraction in shares.items()]
    return np.array(numbers), mixed


def _read(record: Record) -> "Structure":
    try:
        if record.kind == "dict":
            return _from_dict(record.payload)
        if record.kind == "text":
            text = record.payload.strip()
            return _from_dict(json.loads(text)) if text.startswith("{") else _from_cif(text)
        return _from_file(record.payload)
    except StructureError:
        raise
    except Exception as error:  # pymatgen raises errors of many kinds on malformed input
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StructureError(f"expected a structure, got an unreadable one ({reason[:200]})") from error


def _from_dict(fields: dict[str, Any]) -> "Structure":
    from pymatgen.core import Structure

    return Structure.from_dict(fields)


def _from_cif(text: str) -> "Structure":
    from pymatgen.core import Structure

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints about rounding and missing fields, one per file
        return Structure.from_str(text, fmt="cif", primitive=False)


def _from_file(path: Path) -> "Structure":
    if not path.is_file():
        raise StructureError(f"expected the file {path.name}, got none in {path.parent}")
    name = path.name.lower()
    if name.endswith(CIF_SUFFIXES):
        return _from_cif(path.read_text())
    if name.endswith(POSCAR_SUFFIXES) or "poscar" in name or "contcar" in name:
        return _from_poscar(path.read_text())
    raise StructureError(f"expected a file named *.cif, *.vasp, *.poscar or *POSCAR*, got {path.name}")


def _from_poscar(text: str) -> "Structure":
    from pymatgen.io.vasp.inputs import BadPoscarWarning, Poscar

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Without element symbols (VASP 4) pymatgen makes them up, H, He, Li..., and only warns.
        warnings.filterwarnings("error", category=BadPoscarWarning)
        return Poscar.from_str(text).structure


def _atomic_number(specie: Any) -> int:
    number = getattr(specie, "Z", None)
    if not isinstance(number, int) or not 1 <= number <= ELEMENTS:  # a hash, of dummy species
        raise StructureError(f"expected chemical elements, got {specie}")
    return number
