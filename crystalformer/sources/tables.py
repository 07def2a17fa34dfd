"""Data sets given by path -> `Record`s: a CSV or JSON file, or a folder with a CSV beside CIF files.

CSV: one of the columns `structure` (CIF text or pymatgen's JSON), `cif` (CIF text) or `file` (path of a
CIF or POSCAR, relative to the CSV and inside its folder); `id` and `split` (train, val, test) if wanted;
every other column of numbers is a target, and an empty cell is a missing value. JSON (`.json`: a list;
`.jsonl`: one object a line; either also `.gz`): `species`, `lattice`, `frac` or a pymatgen `structure`,
with `targets`, and `id` and `split` if wanted. A folder: `id_prop.csv` or `targets.csv`, as above or with
the files named `<id>.cif`; an `id_prop.csv` without a header has the columns id, target.
"""

import csv
import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crystalformer.data.manifest import file_sha256
from crystalformer.sources.records import DataError, Record, check_ids, is_missing, shown, split_label

STRUCTURE_COLUMNS = ("structure", "cif", "file")
FOLDER_TABLES = ("id_prop.csv", "targets.csv")
MAX_CELL = 2**31 - 1  # characters; the csv module's own limit is less than a large CIF


@dataclass(frozen=True)
class Table:
    """The rows of a source, before any structure is read."""

    path: Path  # of the table itself
    records: list[Record]
    ignored: tuple[str, ...] = ()  # columns that are neither structure, id, split nor numbers

    def fingerprint(self) -> str:
        """SHA-256 over the table and every structure file it names: changes when any of them does."""
        digest = hashlib.sha256(file_sha256(self.path).encode())
        for record in self.records:
            if record.kind == "file":
                content = file_sha256(record.payload) if record.payload.is_file() else "absent"
                digest.update(
                    f"{record.payload.relative_to(self.path.parent.resolve())} {content}\n".encode()
                )
        return digest.hexdigest()


def read_table(path: Path) -> Table:
    """Read a data set given by path; see the module for the forms.

    Raises:
        DataError: no such file, another form, no structures, a malformed cell or line, or an id twice.
    """
    if path.is_dir():
        found = [path / name for name in FOLDER_TABLES if (path / name).is_file()]
        if not found:
            raise DataError(f"{path}: expected a folder with {' or '.join(FOLDER_TABLES)}, got neither")
        table = _read_csv(found[0], in_folder=True)
    elif not path.is_file():
        raise DataError(f"{path}: expected a file or folder, got nothing of that name")
    else:
        readers: dict[str, Callable[[Path], Table]] = {
            ".csv": _read_csv,
            ".json": _read_json,
            ".json.gz": _read_json,
            ".jsonl": _read_json_lines,
            ".jsonl.gz": _read_json_lines,
        }
        matching = [read for suffix, read in readers.items() if path.name.lower().endswith(suffix)]
        if not matching:
            raise DataError(f"{path}: expected a file named {', '.join(f'*{suffix}' for suffix in readers)}")
        table = matching[0](path)
    check_ids(table.records, str(table.path))
    return table


def _read_csv(path: Path, in_folder: bool = False) -> Table:
    header, rows = _csv_rows(path, in_folder)
    if not rows:
        raise DataError(f"{path}: expected a header and at least one row, got no rows")
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise DataError(f"{path}: expected every column once, got {shown(sorted(repeated))} twice")
    structure = [name for name in STRUCTURE_COLUMNS if name in header]
    named_by_id = in_folder and not structure and "id" in header
    if len(structure) != 1 and not named_by_id:
        raise DataError(
            f"{path}: expected one of the columns {', '.join(STRUCTURE_COLUMNS)}, "
            f"got the columns {shown(header)}"
        )
    source = "id" if named_by_id else structure[0]
    others = [name for name in header if name not in (source, "id", "split")]
    values = {name: _numbers(path, name, rows) for name in others}
    targets = {name: column for name, column in values.items() if column is not None}
    records = []
    for number, (line, row) in enumerate(rows):
        where = f"line {line}"
        id_ = row["id"].strip() if "id" in header else f"row-{number + 1}"
        kind, payload = _csv_structure(path, where, source, row[source].strip())
        records.append(
            Record(
                id=id_ or _fail(f"{path}, {where}: id: expected a text, got an empty cell"),
                where=where,
                kind=kind,
                payload=payload,
                targets={
                    name: value for name, column in targets.items() if (value := column[number]) is not None
                },
                split=split_label(row.get("split"), f"{path}, {where}"),
            )
        )
    return Table(path, records, tuple(name for name in others if name not in targets))


def _csv_rows(path: Path, in_folder: bool) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    limit = csv.field_size_limit(MAX_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected comma-separated values in UTF-8, got {error}") from None
    finally:
        csv.field_size_limit(limit)
    if not rows:
        raise DataError(f"{path}: expected a header and at least one row, got an empty file")
    if (
        in_folder
        and path.name == "id_prop.csv"
        and len(rows[0][1]) > 1
        and _number(rows[0][1][1]) is not None
    ):
        count = len(rows[0][1]) - 1
        header = ["id"] + (["target"] if count == 1 else [f"target_{i + 1}" for i in range(count)])
    else:
        header = [cell.strip() for cell in rows.pop(0)[1]]
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{path}, line {line}: expected {len(header)} cells, got {len(cells)}")
    return header, [(line, dict(zip(header, cells, strict=True))) for line, cells in rows]


def _numbers(path: Path, name: str, rows: Sequence[tuple[int, dict[str, str]]]) -> list[float | None] | None:
    """A column's values (None: missing), or None for a column that is mostly text and so no target."""
    filled = [(line, row[name]) for line, row in rows if not is_missing(row[name])]
    wrong = [(line, cell) for line, cell in filled if _number(cell) is None]
    if not filled or 2 * len(wrong) >= len(filled):
        return None
    if wrong:
        line, cell = wrong[0]
        raise DataError(
            f"{path}, line {line}: {name}: expected a finite number or an empty cell, got {cell!r}"
        )
    return [None if is_missing(row[name]) else _number(row[name]) for _, row in rows]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _csv_structure(
    path: Path, where: str, column: str, cell: str
) -> tuple[Literal["text", "file"], str | Path]:
    if column in ("structure", "cif"):
        return "text", cell
    # pathlib drops a trailing part that is empty, so an empty cell would name the folder itself
    relative = Path(cell or _fail(f"{path}, {where}: {column}: expected a file name, got an empty cell"))
    if not cell.isprintable():
        raise DataError(f"{path}, {where}: {column}: expected a file name, got {cell!a}")
    folder = path.parent.resolve()
    if column == "id" and not (folder / relative).is_file():
        relative = Path(f"{cell}.cif")
    resolved = (folder / relative).resolve()
    if relative.is_absolute() or ".." in relative.parts or not resolved.is_relative_to(folder):
        raise DataError(
            f"{path}, {where}: {column}: expected a path inside the folder of the table, without .., "
            f"got {cell!r}"
        )
    return "file", resolved


def _read_json(path: Path) -> Table:
    try:
        entries = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, got an error: {error}") from None
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected a list of crystals, got a JSON {type(entries).__name__}")
    return Table(path, [_json_record(path, f"entry {i + 1}", i, entry) for i, entry in enumerate(entries)])


def _read_json_lines(path: Path) -> Table:
    records: list[Record] = []
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {number}: expected a JSON object, got an error: {error}"
                ) from None
            records.append(_json_record(path, f"line {number}", len(records), entry))
    return Table(path, records)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.name.lower().endswith(".gz") else content).decode()
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a whole file in UTF-8, got {error}") from None


def _json_record(path: Path, where: str, number: int, entry: Any) -> Record:
    place = f"{path}, {where}"
    if not isinstance(entry, dict):
        raise DataError(f"{place}: expected an object, got {entry!r:.80}")
    kind: Literal["arrays", "text", "dict"]
    if {"species", "lattice", "frac"} <= set(entry):
        kind, payload = "arrays", {key: entry[key] for key in ("species", "lattice", "frac")}
    elif isinstance(entry.get("structure"), dict | str):
        kind, payload = ("dict" if isinstance(entry["structure"], dict) else "text"), entry["structure"]
    else:
        raise DataError(f"{place}: expected the keys species, lattice, frac or structure, got {shown(entry)}")
    targets = entry.get("targets", {})
    if not isinstance(targets, dict):
        raise DataError(f"{place}: targets: expected an object of name and value, got {targets!r:.80}")
    values = {name: value for name, value in targets.items() if not is_missing(value)}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(f"{place}: target {name}: expected a finite number or null, got {value!r}")
    given = entry.get("id")
    id_ = f"row-{number + 1}" if given is None else str(given).strip()
    return Record(
        id=id_ or _fail(f"{place}: id: expected a text, got an empty one"),
        where=where,
        kind=kind,
        payload=payload,
        targets=values,
        split=split_label(entry.get("split"), place),
    )


def _fail(message: str) -> str:
    raise DataError(message)
