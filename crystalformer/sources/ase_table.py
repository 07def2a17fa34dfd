"""ASE databases (`.db`, SQLite): the structures with their key-value pairs and calculated energies.

The id is the key `id`, `material_id` or `jid` of a row, or else `row-<number>`; every other key with numbers
is a target, and so are the calculator's `energy`, `free_energy` and `magmom`. Needs ASE: the optional
dependency `ase`.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crystalformer.sources.atoms import ase_module
from crystalformer.sources.columns import Columns, number_of
from crystalformer.sources.records import DataError, Reading, Rejection, Row

CALCULATED = ("energy", "free_energy", "magmom")
ARRAYS = ("numbers", "positions", "cell")


@dataclass(frozen=True)
class AseTable:
    """An ASE database; see `tables.Table`."""

    path: Path
    count: int

    def read(self) -> Reading:
        """One pass."""
        return Reading(self._rows(), self.count)

    def files(self) -> Iterator[Path]:
        """None: the structures are inside."""
        return iter(())

    def _rows(self) -> Iterator[Row]:
        numbers = _read(self.path, "SELECT id FROM systems ORDER BY id")
        with _connect(self.path) as database:
            for index, (number,) in enumerate(numbers):
                try:
                    row = database.get(int(number))
                    cells: dict[str, Any] = {name: getattr(row, name).tolist() for name in ARRAYS}
                    values = {
                        name: row.get(name) for name in CALCULATED if number_of(row.get(name)) is not None
                    }
                    pairs = dict(row.key_value_pairs)
                except Exception as error:  # the database holds JSON and blobs, which may be anything
                    reason = f"expected a row of an ASE database, got an unreadable one ({error!r:.120})"
                    yield Rejection(f"row-{index + 1}", f"row {number}", reason)
                    continue
                cells |= values | {key: value for key, value in pairs.items() if key not in ARRAYS}
                yield _row(self.path, index, f"row {number}", cells)


def open_table(path: Path, in_folder: bool) -> AseTable:
    """An ASE database, opened for reading.

    Raises:
        DataError: it is none, or ASE is not installed.
    """
    ase_module("ase.db")
    ((count,),) = _read(path, "SELECT COUNT(*) FROM systems")
    return AseTable(path, int(count))


def _row(path: Path, index: int, where: str, cells: dict[str, Any]) -> Row:
    try:
        columns = Columns.of(list(cells), path.parent)
    except ValueError as error:
        return Rejection(f"row-{index + 1}", where, str(error))
    targets = [name for name in columns.others if not isinstance(cells[name], str | bool)]
    return columns.row(index, where, cells, targets)


def _connect(path: Path) -> Any:
    return ase_module("ase.db").connect(path, type="db", use_lock_file=False)


def _read(path: Path, query: str) -> list[tuple[Any, ...]]:
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DataError(f"{path}: expected an ASE database (SQLite), got an error: {error}") from None
