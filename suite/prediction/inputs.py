"""Files that a user names -> crystals, one after the other, with what could not be read in its place."""

from collections.abc import Iterator
from pathlib import Path

from crystalformer.data.crystal import Crystal
from crystalformer.sources.records import DataError, Record, Row
from crystalformer.sources.structures import Rules, is_structure_file, to_crystal
from crystalformer.sources.tables import open_table
from suite.prediction.predictor import Unreadable


def crystals_of(path: Path) -> Iterator[tuple[Path, Crystal | Unreadable]]:
    """The crystals of a file or folder, each with the file it comes from.

    A structure file is one crystal, named like the file; a table has many (`crystalformer.sources.tables`); a
    folder is the table in it, or else all structure files in it, in the order of their names. Nothing that is
    wrong with one of them keeps the others from being read.
    """
    try:
        if files := _structure_files(path):
            for file in files:
                yield file, _crystal(Record(file.name.split(".")[0], file.name, "file", file))
        else:
            for row in _rows(path):
                yield path, _crystal(row)
    except (DataError, OSError) as error:
        yield path, Unreadable("", str(error))


def _structure_files(path: Path) -> list[Path]:
    """The path itself, or, of a folder that is no table, the structure files in it."""
    if not path.is_dir():
        return [path] if is_structure_file(path) else []
    try:
        open_table(path)
    except DataError:
        return [file for file in sorted(path.iterdir()) if file.is_file() and is_structure_file(file)]
    return []


def _rows(path: Path) -> Iterator[Row]:
    if str(path) == "-":
        raise DataError("-: expected the name of a file or folder; standard input is not read")
    yield from open_table(path).read().rows


def _crystal(row: Row) -> Crystal | Unreadable:
    if not isinstance(row, Record):
        return Unreadable(row.id, f"{row.where}: {row.reason}")
    try:
        return to_crystal(row, Rules(plausible=False))  # the model may answer, and warns
    except ValueError as error:
        return Unreadable(row.id, f"{row.where}: {error}")
