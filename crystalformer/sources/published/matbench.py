"""Matbench's files: a table of pymatgen structures and values, `{"index", "columns", "data"}` in JSON.

The ids, mb-dielectric-0001 and so on, count the rows, as in the published folds.
"""

from collections.abc import Iterator
from pathlib import Path

from crystalformer.data.datasets.row import Part
from crystalformer.sources.published.jarvis import number
from crystalformer.sources.published.texts import json_elements, open_text
from crystalformer.sources.records import DataError, Record

STRUCTURE = "structure"


def read_matbench(path: Path, part: Part, label: str | None) -> Iterator[Record]:
    """The rows of a file, in its order.

    Raises:
        DataError: another format.
    """
    digits = len(str(part.crystals))
    with open_text(path) as text:
        rows = json_elements(text, path, key="data")
        columns = next(rows).get("columns")
        wanted = [STRUCTURE, *part.keys.values()]
        named = isinstance(columns, list) and all(isinstance(name, str) for name in columns)
        if not named or not set(wanted) <= set(columns):
            raise DataError(f"{path}: expected the columns {', '.join(wanted)}, got {columns!r:.200}")
        for index, row in enumerate(rows, start=1):
            where = f"{path.name}, row {index}"
            if not isinstance(row, list) or len(row) != len(columns):
                raise DataError(f"{where}: expected {len(columns)} values, got {row!r:.80}")
            cells = dict(zip(columns, row, strict=True))
            values = {
                name: value for name, key in part.keys.items() if (value := number(cells[key])) is not None
            }
            if not isinstance(cells[STRUCTURE], dict):
                raise DataError(f"{where}: expected a structure as an object, got {cells[STRUCTURE]!r:.80}")
            yield Record(f"{part.id_key}-{index:0{digits}d}", where, "dict", cells[STRUCTURE], values, label)
