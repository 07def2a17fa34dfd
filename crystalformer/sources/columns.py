"""What the columns of a table mean, and how a row of cells becomes a `Record`; the same for every format.

| column | meaning |
|---|---|
| `structure` | CIF, POSCAR or extended-XYZ text, or a pymatgen structure (as JSON text or a nested value) |
| `cif`, `poscar`, `extxyz` | a text of that format |
| `file` | path of a CIF, POSCAR or extended XYZ, relative to the table and inside its folder |
| `species`, `lattice`, `frac` | Z, cell vectors in Å (rows), fractional coordinates; `mixed` if wanted |
| `numbers`, `positions`, `cell` | Z, Cartesian coordinates and cell vectors in Å, as ASE has them |
| `id`, or `material_id`, `jid` | the crystal's name; without one, `row-1`, `row-2` ... |
| `split` | train, val or test, if wanted |

Case does not matter. Every other column of numbers is a target.
"""

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from typing import Any

from crystalformer.sources.files import inside, is_file, undecodable
from crystalformer.sources.records import (
    DataError,
    Kind,
    Record,
    Rejection,
    Row,
    is_missing,
    shown,
    split_label,
)

SINGLE: dict[str, Kind] = {
    "structure": "text",
    "cif": "cif",
    "poscar": "poscar",
    "extxyz": "extxyz",
    "file": "file",
}
ARRAYS: dict[Kind, tuple[str, ...]] = {
    "arrays": ("species", "lattice", "frac"),
    "atoms": ("numbers", "positions", "cell"),
}
OPTIONAL = ("mixed", "pbc")  # beside the arrays
IDS = ("id", "material_id", "jid")
SUFFIXES = ("", ".cif", ".mcif", ".vasp", ".poscar", ".extxyz", ".xyz")  # of files named by id
FORMS = (
    f"one of the columns {', '.join(SINGLE)}, or {' or '.join(', '.join(names) for names in ARRAYS.values())}"
)


@dataclass(frozen=True)
class Columns:
    """The meaning of a table's columns: which hold the structure, the id, the split label and the targets."""

    kind: Kind
    structure: dict[str, str]  # what it is -> column
    id: str | None
    split: str | None
    others: tuple[str, ...]  # targets, if they are numbers
    folder: Path  # of the table, resolved
    named_by_id: bool = False  # the structure is in the file of that name

    @classmethod
    def of(cls, names: Collection[str], folder: Path, in_folder: bool = False) -> "Columns":
        """Find the columns by their names.

        Args:
            names: all columns.
            folder: where paths begin.
            in_folder: the table describes the files of its folder, so it needs no structure column.

        Raises:
            ValueError: no structure column, or more than one.
        """
        by_name = {name.strip().lower(): name for name in reversed(list(names))}
        single = [name for name in SINGLE if name in by_name]
        arrays = [kind for kind, needed in ARRAYS.items() if set(needed) <= set(by_name)]
        id_ = next((by_name[name] for name in IDS if name in by_name), None)
        named_by_id = in_folder and id_ is not None and not single and not arrays
        if len(single) + len(arrays) != 1 and not named_by_id:
            raise ValueError(f"expected {FORMS}, got the columns {shown(names)}")
        if named_by_id:
            kind: Kind = "file"
            structure: dict[str, str] = {}
        elif single:
            kind, structure = SINGLE[single[0]], {single[0]: by_name[single[0]]}
        else:
            kind = arrays[0]
            structure = {n: by_name[n] for n in (*ARRAYS[kind], *OPTIONAL) if n in by_name}
        split = by_name.get("split")
        used = {*structure.values(), id_, split}
        others = tuple(name for name in names if name not in used)
        return cls(kind, structure, id_, split, others, folder, named_by_id)

    def row(self, number: int, where: str, cells: Mapping[str, Any], targets: Iterable[str]) -> Row:
        """The record of a row, counted from 0, whose cells are given by column, or why there is none."""
        id_ = f"row-{number + 1}"
        try:
            id_ = self._id(id_, cells)
            payload = self._payload(cells)
            split = None if self.split is None else split_label(cells.get(self.split))
            kind = self.kind
            if kind == "text" and isinstance(payload, dict):
                kind = "dict"
        except (ValueError, RecursionError) as error:
            return Rejection(id_ if id_.isprintable() else ascii(id_)[1:-1], where, str(error))
        values, faults = {}, []
        for name in targets:
            cell = cells.get(name)
            if is_missing(cell):
                continue
            value = number_of(cell)
            if value is None:
                reason = f"{name}: expected a finite number or nothing, got {cell!r:.80}"
                faults.append(Rejection(id_, where, reason, name))
            else:
                values[name] = value
        return Record(id_, where, kind, payload, values, split, tuple(faults))

    def file_of(self, cells: Mapping[str, Any]) -> Path | None:
        """The file that a row names, None if it names none that may be read."""
        try:
            path = self._payload(cells) if self.kind == "file" else None
        except ValueError:
            return None
        return path if path is not None and is_file(path) else None

    def _id(self, default: str, cells: Mapping[str, Any]) -> str:
        if self.id is None:
            return default
        given = cells.get(self.id)
        if given is None or (isinstance(given, float) and math.isnan(given)) or not str(given).strip():
            raise ValueError("id: expected a text, got an empty one")
        if isinstance(given, bool | dict | list):
            raise ValueError(f"id: expected a text, got {given!r:.80}")
        id_ = str(given).strip()
        if not id_.isprintable() or undecodable(id_):
            raise ValueError(f"id: expected printable characters, got {id_[:80]!a}")
        if len(id_) > 200:
            raise ValueError(f"id: expected at most 200 characters, got {len(id_)}")
        return id_

    def _payload(self, cells: Mapping[str, Any]) -> Any:
        if self.named_by_id:
            assert self.id is not None
            return self._file_named(self._id("", cells))
        if self.kind in ARRAYS:
            return {
                name: _array(cells.get(column), name)
                for name, column in self.structure.items()
                if name not in OPTIONAL or not is_missing(cells.get(column))
            }
        ((name, column),) = self.structure.items()
        cell = cells.get(column)
        if isinstance(cell, dict) and name == "structure":
            return cell
        if isinstance(cell, bytes):
            cell = cell.decode(errors="surrogateescape")
        if cell is not None and not isinstance(cell, str):
            raise ValueError(f"{name}: expected a text, got {cell!r:.80}")
        text = (cell or "").strip("\ufeff \t\r\n") if name != "poscar" else (cell or "").strip("\ufeff")
        if not text.strip():
            raise ValueError(f"{name}: expected a structure, got an empty cell")
        if problem := undecodable(text):
            raise ValueError(f"{name}: {problem}")
        if self.kind != "file":
            return text
        try:
            return inside(self.folder, text)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def _file_named(self, id_: str) -> Path:
        """The one file of the folder that is called as the crystal, with or without an ending."""
        try:
            names = [f"{id_}{suffix}{gz}" for suffix in SUFFIXES for gz in ("", ".gz")]
            found = [path for name in names if is_file(path := inside(self.folder, name))]
        except ValueError as error:
            raise ValueError(f"id: {error}") from None
        if len(found) > 1:
            raise ValueError(f"expected one file of this name, got {shown(path.name for path in found)}")
        return found[0] if found else inside(self.folder, f"{id_}.cif")


def number_of(cell: object) -> float | None:
    """A cell's finite number, or None for anything else; thousands separators make it something else."""
    if isinstance(cell, bool) or not isinstance(cell, Number | str):
        return None
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return None
    if isinstance(cell, str) and "_" in cell:  # Python takes 1_000 for a number, few others do
        return None
    return value if math.isfinite(value) else None


def checked_header(path: Path, names: list[str]) -> list[str]:
    """The column names of a table.

    Raises:
        DataError: one comes twice.
    """
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise DataError(f"{path}: expected every column once, got {shown(sorted(repeated))} twice")
    return names


def _array(cell: Any, name: str) -> Any:
    """A list from a table that holds it as such, or as JSON text."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            raise ValueError(f"{name}: expected a JSON list, got {cell!r:.80}") from None
    if cell is None:
        raise ValueError(f"{name}: expected a list, got nothing")
    return cell
