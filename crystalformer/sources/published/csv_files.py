"""CDVAE's files: a CSV for each part of the split, with a CIF in the column `cif`."""

import csv
from collections.abc import Iterator
from pathlib import Path

from crystalformer.data.datasets.row import Part
from crystalformer.sources.published.jarvis import number
from crystalformer.sources.published.texts import open_text
from crystalformer.sources.records import DataError, Record

CIF = "cif"
LARGEST_CELL = 2**24  # characters; the csv module's own limit is less than a large CIF


def read_csv(path: Path, part: Part, label: str | None) -> Iterator[Record]:
    """The rows of a file, in its order.

    Raises:
        DataError: another format.
    """
    limit = csv.field_size_limit(LARGEST_CELL)
    try:
        with open_text(path) as text:
            rows = csv.DictReader(text, strict=True)
            wanted = (part.id_key, CIF, *part.keys.values())
            if not set(wanted) <= set(rows.fieldnames or ()):
                found = ", ".join(rows.fieldnames or ("none",))
                raise DataError(f"{path}: expected the columns {', '.join(wanted)}, got {found}")
            for row in rows:
                where = f"{path.name}, line {rows.line_num}"
                if None in row.values() or None in row:
                    raise DataError(
                        f"{where}: expected {len(rows.fieldnames or ())} cells, got another number"
                    )
                values = {
                    name: value for name, key in part.keys.items() if (value := number(row[key])) is not None
                }
                yield Record(row[part.id_key].strip(), where, "text", row[CIF], values, label)
    except csv.Error as error:
        raise DataError(f"{path}: expected comma-separated values, got {error}") from None
    finally:
        csv.field_size_limit(limit)
