"""Data sets given by path: which reader a file or folder gets. Each gives a `Table`, read as often as wanted.

| path | reader |
|---|---|
| `*.csv` | `csv_table` |
| `*.json`, `*.jsonl` | `json_table` |
| `*.parquet` | `parquet_table` |
| `*.extxyz`, `*.xyz` | `extxyz_table` |
| `*.db` | `ase_table` |
| a folder with `id_prop.csv`, `targets.csv` or one other table | that table, beside structure files |

Text may also be gzipped (`.gz`). What the columns mean is told in `columns`.
"""

import hashlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol

from crystalformer.data.manifest import file_sha256
from crystalformer.sources.records import DataError, Reading, shown


class Table(Protocol):
    """A table of crystals; nothing of it is held in memory."""

    path: Path

    def read(self) -> Reading:
        """Begin a pass through it. Raises `DataError` for what makes the whole of it unreadable."""

    def files(self) -> Iterator[Path]:
        """The structure files that it names, where they exist."""


# ending -> module with `open_table(path, in_folder)`; imported when wanted, since some are slow to import
READERS = {
    ".csv": "csv_table",
    ".json": "json_table",
    ".jsonl": "json_table",
    ".parquet": "parquet_table",
    ".extxyz": "extxyz_table",
    ".xyz": "extxyz_table",
    ".db": "ase_table",
}
FOLDER_TABLES = ("id_prop.csv", "targets.csv")
IN_FOLDERS = (".csv", ".json", ".jsonl", ".parquet")  # endings of a folder's table, .gz aside


def open_table(path: Path) -> Table:
    """The table that a path names; see the module for the forms.

    Raises:
        DataError: no such file, another form, or no column with structures.
    """
    if path.is_dir():
        return _reader(found := _table_of(path))(found, True)
    if not path.is_file():
        raise DataError(f"{path}: expected a file or folder, got nothing of that name")
    return _reader(path)(path, False)


def fingerprint(table: Table) -> str:
    """SHA-256 over the table and every structure file it names: changes when any of them does."""
    digest = hashlib.sha256(file_sha256(table.path).encode())
    folder = table.path.parent.resolve()
    for file in table.files():
        digest.update(f"{file.relative_to(folder)} {file_sha256(file)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _table_of(folder: Path) -> Path:
    for name in (*FOLDER_TABLES, *(f"{name}.gz" for name in FOLDER_TABLES)):
        if (folder / name).is_file():
            return folder / name
    others = [path for path in sorted(folder.iterdir()) if path.is_file() and _ending(path) in IN_FOLDERS]
    if len(others) != 1:
        got = shown(path.name for path in others) or "no table"
        raise DataError(
            f"{folder}: expected a folder with {' or '.join(FOLDER_TABLES)}, or one other table of ids and "
            f"targets ({', '.join(f'*{ending}' for ending in IN_FOLDERS)}), got {got}"
        )
    return others[0]


def _reader(path: Path) -> Callable[[Path, bool], Table]:
    module = READERS.get(_ending(path))
    if module is None:
        known = ", ".join(f"*{ending}" for ending in READERS)
        raise DataError(f"{path}: expected a file named {known}; those of text may also end in .gz")
    open_: Callable[[Path, bool], Table] = import_module(f"crystalformer.sources.{module}").open_table
    return open_


def _ending(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix
