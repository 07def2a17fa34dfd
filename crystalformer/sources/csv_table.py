"""Tables of comma-separated values. A column is a target if most of its cells that are not empty are numbers.

An `id_prop.csv` in a folder may have no header: its columns are then the id and the targets.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from crystalformer.sources.columns import Columns, checked_header, number_of
from crystalformer.sources.files import open_text
from crystalformer.sources.records import DataError, Reading, Rejection, Row, is_missing

MAX_CELL = 2**31 - 1  # characters; the csv module's own limit is less than a large CIF
HEADLESS = "id_prop.csv"
SAMPLE = 20  # rows that are looked at for a column of CIF texts under another name

Line = tuple[int, list[str]]  # number of the line a row begins in, its cells


@dataclass(frozen=True)
class CsvTable:
    """A CSV file; see `tables.Table`."""

    path: Path
    header: list[str]
    has_header: bool
    columns: Columns

    def read(self) -> Reading:
        """Two passes: what the columns hold, then the rows."""
        targets, ignored, total = self._scan
        return Reading(self._rows(targets), total, ignored)

    def files(self) -> Iterator[Path]:
        """The structure files that the rows name."""
        if self.columns.kind == "file":
            for _, cells in self._lines():
                file = self.columns.file_of(dict(zip(self.header, cells, strict=False)))
                if file is not None:
                    yield file

    def _rows(self, targets: list[str]) -> Iterator[Row]:
        for number, (line, cells) in enumerate(self._lines()):
            where = f"line {line}"
            if len(cells) != len(self.header):
                reason = f"expected {len(self.header)} cells, got {len(cells)}"
                yield Rejection(f"row-{number + 1}", where, reason)
            else:
                yield self.columns.row(number, where, dict(zip(self.header, cells, strict=True)), targets)

    @cached_property
    def _scan(self) -> tuple[list[str], dict[str, str], int]:
        """The columns that are targets, the others with an example, and the number of rows."""
        place = [(name, self.header.index(name)) for name in self.columns.others]
        filled = dict.fromkeys(self.columns.others, 0)
        wrong = dict.fromkeys(self.columns.others, 0)
        example = dict.fromkeys(self.columns.others, "nothing but empty cells")
        total = 0
        for line, cells in self._lines():
            total += 1
            for name, index in place if len(cells) == len(self.header) else ():
                if not is_missing(cells[index]):
                    filled[name] += 1
                    if number_of(cells[index]) is None:
                        if not wrong[name]:
                            example[name] = f"line {line} has {cells[index]!a:.60}"
                        wrong[name] += 1
        if not total:
            raise DataError(f"{self.path}: expected a header and at least one row, got no rows")
        targets = [name for name in self.columns.others if 2 * wrong[name] < filled[name]]
        return targets, {n: text for n, text in example.items() if n not in targets}, total

    def _lines(self) -> Iterator[Line]:
        lines = _lines(self.path)
        if self.has_header:
            next(lines)
        return lines


def open_table(path: Path, in_folder: bool) -> CsvTable:
    """Find the columns of a CSV file.

    Raises:
        DataError: an empty file, no structure column, or a column twice.
    """
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path}: expected a header and at least one row, got an empty file")
    header = [cell.strip() for cell in first[1]]
    has_header = not (
        in_folder and path.name == HEADLESS and len(header) > 1 and number_of(header[1]) is not None
    )
    if not has_header:
        targets = len(header) - 1
        header = ["id", *(["target"] if targets == 1 else [f"target_{i + 1}" for i in range(targets)])]
    checked_header(path, header)
    folder = path.parent.resolve()
    try:
        columns = Columns.of(header, folder, in_folder)
    except ValueError as error:
        columns_by_content = _by_content(header, lines, folder)
        if columns_by_content is None:
            raise DataError(f"{path}: {error}") from None
        columns = columns_by_content
    return CsvTable(path, header, has_header, columns)


def _by_content(header: list[str], lines: Iterator[Line], folder: Path) -> Columns | None:
    """The columns, if exactly one of them holds CIF texts whatever its name."""
    found = set()
    for _, (_, cells) in zip(range(SAMPLE), lines, strict=False):
        found |= {name for name, cell in zip(header, cells, strict=False) if "_cell_length_a" in cell}
    if len(found) != 1:
        return None
    (name,) = found
    try:
        columns = Columns.of(["cif" if other == name else other for other in header], folder)
    except ValueError:  # other structure columns are there, too
        return None
    return replace(columns, structure={"cif": name})


def _lines(path: Path) -> Iterator[Line]:
    """The rows of a CSV file that are not blank.

    Raises:
        DataError: it cannot be read, or a quote is not closed, so that nobody knows where rows end.
    """
    csv.field_size_limit(MAX_CELL)  # of the whole process; not put back, since passes may overlap
    with open_text(path) as file:
        reader = csv.reader(file, strict=True)
        try:
            line = 1
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"{path}, line {reader.line_num}: expected comma-separated values, got an error: {error}"
            ) from None
