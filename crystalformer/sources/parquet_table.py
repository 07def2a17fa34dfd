"""Parquet files, read in batches. Columns of numbers are targets; structures are texts or nested values."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crystalformer.sources.columns import Columns, checked_header
from crystalformer.sources.records import DataError, Reading, Row

BATCH = 256  # rows


@dataclass(frozen=True)
class ParquetTable:
    """A parquet file; see `tables.Table`."""

    path: Path
    rows: int
    columns: Columns
    targets: tuple[str, ...]
    ignored: dict[str, str]

    def read(self) -> Reading:
        """One pass."""
        return Reading(self._read(), self.rows, self.ignored)

    def files(self) -> Iterator[Path]:
        """The structure files that the rows name."""
        if self.columns.kind == "file":
            for _, cells in self._cells():
                if (file := self.columns.file_of(cells)) is not None:
                    yield file

    def _read(self) -> Iterator[Row]:
        for number, cells in self._cells():
            yield self.columns.row(number, f"row {number + 1}", cells, self.targets)

    def _cells(self) -> Iterator[tuple[int, dict[str, Any]]]:
        number = 0
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(BATCH):
                    for cells in batch.to_pylist():
                        yield number, {name: _without_none(cell) for name, cell in cells.items()}
                        number += 1
        except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
            raise _unreadable(self.path, error) from None
        if number != self.rows:
            raise DataError(f"{self.path}: expected {self.rows} rows as its footer says, got {number}")


def open_table(path: Path, in_folder: bool) -> ParquetTable:
    """Find the columns of a parquet file.

    Raises:
        DataError: it cannot be read, has no structure column, or a column twice.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise _unreadable(path, error) from None
    header = checked_header(path, schema.names)
    try:
        columns = Columns.of(header, path.parent.resolve(), in_folder)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    types = {name: schema.field(name).type for name in columns.others}
    targets = tuple(name for name, type_ in types.items() if _is_number(type_))
    ignored = {name: f"its type is {type_}"[:80] for name, type_ in types.items() if name not in targets}
    return ParquetTable(path, rows, columns, targets, ignored)


def _is_number(type_: pa.DataType) -> bool:
    return pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_)


def _without_none(cell: Any) -> Any:
    """A nested value without the keys that only other rows have; parquet gives each row the keys of all."""
    if isinstance(cell, dict):
        return {key: _without_none(value) for key, value in cell.items() if value is not None}
    if isinstance(cell, list) and cell and isinstance(cell[0], dict | list):
        return [_without_none(value) for value in cell]
    return cell


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200]
    return DataError(f"{path}: expected a parquet file, got an unreadable one ({reason})")
