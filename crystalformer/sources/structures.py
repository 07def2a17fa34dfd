"""A record's structure as a `Crystal`: CIF, POSCAR and pymatgen's JSON are read by pymatgen.

pymatgen takes seconds to import, so it is imported when the first such structure is read; records that
hold arrays never need it.
"""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalformer.data.crystal import Crystal
from crystalformer.sources.records import Record

if TYPE_CHECKING:
    from pymatgen.core import Structure

CIF_SUFFIXES = (".cif", ".mcif")
POSCAR_SUFFIXES = (".vasp", ".poscar")


class StructureError(ValueError):
    """One structure cannot be read; the crystal is rejected with this reason."""


def to_crystal(record: Record) -> Crystal:
    """Read the record's structure, with atoms in the order of the source and coordinates as they are.

    Raises:
        ValueError: the structure cannot be read, is disordered, or makes no crystal (see `Crystal`).
    """
    if record.kind == "arrays":
        lattice, frac_coords, numbers = (record.payload[key] for key in ("lattice", "frac", "species"))
    else:
        structure = _read(record)
        if not structure.is_ordered:
            raise StructureError("expected full occupancies, got a disordered structure")
        lattice, frac_coords = structure.lattice.matrix, structure.frac_coords
        numbers = [_atomic_number(site.specie) for site in structure]
    return Crystal(record.id, lattice, frac_coords, numbers, record.targets, record.split)


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
    if not isinstance(number, int) or number < 1:
        raise StructureError(f"expected chemical elements, got {specie}")
    return number
