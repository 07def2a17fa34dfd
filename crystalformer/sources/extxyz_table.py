"""Extended XYZ files: one crystal after the other, with targets and the id in the comment lines.

    2
    Lattice="4.1 0 0 0 4.1 0 0 0 4.1" Properties=species:S:1:pos:R:3 id=CsCl gap=5.4
    Cs 0 0 0
    Cl 2.05 2.05 2.05

The frames are found here, since their line counts must be trusted before anything is allocated; what is in
one is read by ASE (see `atoms`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from crystalformer.sources.columns import Columns, number_of
from crystalformer.sources.files import open_text
from crystalformer.sources.records import DataError, Reading, Rejection, Row

MAX_ATOMS_PER_FRAME = 100_000
GEOMETRY = {"lattice", "properties", "pbc", "lattice_inv", "origin"}  # keys that are no targets
_PAIR = re.compile(r"""([^\s="']+)\s*=\s*("(?:[^"\\]|\\.)*"|'[^']*'|\{[^}]*\}|\S+)""")


@dataclass(frozen=True)
class ExtxyzTable:
    """An extended XYZ file; see `tables.Table`."""

    path: Path

    def read(self) -> Reading:
        """One pass."""
        return Reading(self._rows())

    def files(self) -> Iterator[Path]:
        """None: the structures are inside."""
        return iter(())

    def _rows(self) -> Iterator[Row]:
        for number, (line, frame) in enumerate(frames(self.path)):
            pairs = comment_pairs(frame.split("\n", 2)[1])
            cells: dict[str, object] = {k: v for k, v in pairs.items() if k.lower() not in GEOMETRY}
            numbers = [key for key, value in cells.items() if number_of(value) is not None]
            try:
                columns = Columns.of(["extxyz", *cells], self.path.parent)
            except ValueError as error:
                yield Rejection(f"row-{number + 1}", f"line {line}", str(error))
                continue
            targets = [key for key in columns.others if key in numbers]
            yield columns.row(number, f"line {line}", {**cells, "extxyz": frame}, targets)


def open_table(path: Path, in_folder: bool) -> ExtxyzTable:
    """An extended XYZ file; what is wrong with it is found when it is read."""
    return ExtxyzTable(path)


def frames(path: Path) -> Iterator[tuple[int, str]]:
    """First line and text of each crystal.

    Raises:
        DataError: where the number of atoms should be there is none, or too few lines follow it.
    """
    with open_text(path) as file:
        line = 1
        for first in file:
            if not first.strip():
                line += 1
                continue
            if not re.fullmatch(r"[0-9]{1,9}", first.strip()) or not 0 < int(first) <= MAX_ATOMS_PER_FRAME:
                got = f"{first.strip()!a:.60}"
                raise DataError(f"{path}, line {line}: expected the number of atoms of a crystal, got {got}")
            rest = list(islice(file, int(first) + 1))
            if len(rest) < int(first) + 1:
                raise DataError(f"{path}, line {line}: expected {int(first) + 1} more lines, got {len(rest)}")
            yield line, "\n".join(text.rstrip("\r\n") for text in (first, *rest)) + "\n"
            line += len(rest) + 1


def comment_pairs(comment: str) -> dict[str, str]:
    """The pairs `key=value` of a comment line, without quotes."""
    return {key: value.strip("\"'") for key, value in _PAIR.findall(comment)}
