"""A record's structure as a `Crystal`: CIF, POSCAR and pymatgen's JSON are read by pymatgen, extended XYZ by
ASE.

pymatgen takes seconds to import, so it is imported when the first such structure is read; records that
hold arrays never need it.
"""

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crystalformer.data.cell_names import AS_GIVEN
from crystalformer.data.crystal import Crystal
from crystalformer.sources.atoms import read_extxyz
from crystalformer.sources.cells import with_cell
from crystalformer.sources.files import is_file, read_structure_file
from crystalformer.sources.plausible import MAX_ATOMS, check_plausible
from crystalformer.sources.records import Record
from crystalformer.sources.sites import Arrays, StructureError, arrays_of

CIF_SUFFIXES = (".cif", ".mcif")
POSCAR_SUFFIXES = (".vasp", ".poscar")
EXTXYZ_SUFFIXES = (".extxyz", ".xyz")
MAX_OPERATIONS = 192  # the most a space group has in its conventional cell
MAX_IMAGES = 300_000  # symmetry operations times lines of a CIF: what pymatgen might have to compare

_WITH_SITES = re.compile(r"^\s*_atom_site[_.]fract_x\b", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Rules:
    """How structures become crystals: in which cell (see `cells`), and whether they must be plausible."""

    cell: str = AS_GIVEN
    plausible: bool = True


def to_crystal(record: Record, rules: Rules = Rules()) -> Crystal:
    """Read the record's structure: with atoms in the order of the source and coordinates as they are, or in
    another cell.

    A site that several elements share, or that is partly empty, gets its fractions (`Crystal.mixed`). Species
    of one element that differ by their charge only count as one, and deuterium counts as hydrogen.

    Raises:
        ValueError: the structure cannot be read, makes no crystal (see `Crystal`), or cannot be one (see
            `plausible`).
    """
    lattice, frac_coords, numbers, mixed = _read(record)
    crystal = Crystal(record.id, lattice, frac_coords, numbers, record.targets, record.split, mixed)
    if rules.plausible:
        check_plausible(crystal)
    return with_cell(crystal, rules.cell)


def is_structure_file(path: Path) -> bool:
    """Whether a file of this name holds one structure: CIF or POSCAR."""
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(CIF_SUFFIXES + POSCAR_SUFFIXES) or "poscar" in name or "contcar" in name


def needs_pymatgen(record: Record) -> bool:
    """Whether the structure is read by pymatgen, which takes milliseconds."""
    return record.kind not in ("arrays", "atoms", "crystal")


def _read(record: Record) -> Arrays:
    payload = record.payload
    if record.kind == "crystal":
        return payload.lattice, payload.frac_coords, payload.numbers, payload.mixed
    if record.kind == "arrays":
        return payload["lattice"], payload["frac"], payload["species"], payload.get("mixed", ())
    try:
        if record.kind == "atoms":
            return _from_atoms(payload)
        if record.kind == "dict":
            return _from_dict(payload)
        if record.kind == "file":
            return _from_file(payload)
        return _from_text(payload, record.kind)
    except StructureError:
        raise
    except RecursionError:
        raise StructureError("expected a structure, got an unreadable one (nested too deeply)") from None
    except MemoryError:
        raise StructureError("expected a structure, got one that takes more memory than there is") from None
    except Exception as error:  # pymatgen raises errors of many kinds on malformed input
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StructureError(f"expected a structure, got an unreadable one ({reason[:200]})") from error


def _from_text(text: str, kind: str) -> Arrays:
    if kind == "text":
        stripped = text.lstrip()
        if stripped.startswith("{"):
            return _from_dict(json.loads(stripped))
        kind = "cif" if re.search(r"^\s*(data_|_cell_|loop_)", text, re.M) else "poscar"
        kind = "extxyz" if kind == "poscar" and "Lattice=" in text else kind
    if kind == "cif":
        return _from_cif(text)
    return _from_atoms(read_extxyz(text)) if kind == "extxyz" else _from_poscar(text)


def _from_file(path: Path) -> Arrays:
    if not is_file(path):
        raise StructureError(f"expected the file {path.name}, got none in {path.parent.name or path.parent}")
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(CIF_SUFFIXES):
        return _from_cif(read_structure_file(path))
    if name.endswith(POSCAR_SUFFIXES) or "poscar" in name or "contcar" in name:
        return _from_poscar(read_structure_file(path))
    if name.endswith(EXTXYZ_SUFFIXES):
        return _from_atoms(read_extxyz(read_structure_file(path)))
    raise StructureError(
        f"expected a file named *.cif, *.vasp, *.poscar, *POSCAR* or *.extxyz, got {path.name}"
    )


def _from_atoms(fields: Mapping[str, Any]) -> Arrays:
    cell = np.array(fields["cell"], dtype=np.float64)
    cell = np.diag(cell) if cell.shape == (3,) else cell
    positions = np.array(fields["positions"], dtype=np.float64)
    if cell.shape != (3, 3) or positions.ndim != 2 or positions.shape[1] != 3:
        raise StructureError(
            f"expected positions (atoms, 3) and a cell (3, 3), got {positions.shape} and {cell.shape}"
        )
    return cell, np.linalg.solve(cell.T, positions.T).T, fields["numbers"], ()


def _from_dict(fields: Mapping[str, Any]) -> Arrays:
    if {"lattice", "frac", "species"} <= set(fields):
        return fields["lattice"], fields["frac"], fields["species"], fields.get("mixed", ())
    if {"numbers", "positions", "cell"} <= set(fields):
        return _from_atoms(fields)
    from pymatgen.core import Structure

    return arrays_of(Structure.from_dict(dict(fields)))


def _from_cif(text: str) -> Arrays:
    blocks = len(_WITH_SITES.findall(text))
    if blocks > 1:
        raise StructureError(f"expected one data block with atoms in a CIF, got {blocks}: one crystal a row")
    lines = text.lower().splitlines()
    operations = sum(line.count(",") >= 2 and {"x", "y", "z"} <= set(line[:100]) for line in lines)
    if operations > MAX_OPERATIONS or max(operations, 1) * len(lines) > MAX_IMAGES:
        raise StructureError(
            f"expected at most {MAX_OPERATIONS} symmetry operations and {MAX_IMAGES:,} images of lines, "
            f"got {operations} operations in {len(lines)} lines"
        )
    from pymatgen.io.cif import CifParser

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints about rounding and missing fields, one per file
        parser: Any = CifParser.from_str(text)
        data = parser.as_dict()
        _check_symbols(data)
        # Blocks without atoms, such as data_global of journals, are no structures.
        on_error = "ignore" if len(data) > 1 else "raise"
        (structure,) = parser.parse_structures(primitive=False, on_error=on_error)
    if any("implicit hydrogens" in warning for warning in parser.warnings):
        raise StructureError(
            "expected all atoms with coordinates, got sites of OH or H2O without their hydrogens"
        )
    return arrays_of(structure)


def _check_symbols(blocks: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse symbols that are no elements; pymatgen would take Uue for U."""
    from pymatgen.core import Element

    for block in blocks.values():
        symbols = block.get("_atom_site_type_symbol", ())
        for symbol in {symbols} if isinstance(symbols, str) else set(symbols):
            letters = re.match(r"[A-Za-z]*", symbol)
            if not letters or not Element.is_valid_symbol(letters[0].capitalize()):
                if letters and letters[0].lower() in ("wat", "oh"):
                    continue  # told apart below
                raise StructureError(f"expected chemical elements, got {symbol[:20]}")


def _from_poscar(text: str) -> Arrays:
    lines = text.splitlines()
    atoms = sum(int(word) for word in (lines[6] if len(lines) > 6 else "").split() if word.isdigit())
    if atoms > MAX_ATOMS:
        raise StructureError(f"expected at most {MAX_ATOMS} atoms, got {atoms}")
    from pymatgen.io.vasp.inputs import BadPoscarWarning, Poscar

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Without element symbols (VASP 4) pymatgen makes them up, H, He, Li..., and only warns.
        warnings.filterwarnings("error", category=BadPoscarWarning)
        return arrays_of(Poscar.from_str(text).structure)
