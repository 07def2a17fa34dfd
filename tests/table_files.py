"""Data sets given by path, as tests write and read them."""

import csv
from pathlib import Path

from crystal_files import cubic_cif

from crystalformer.data.crystal import Crystal
from crystalformer.sources.records import Record, Rejection, distinct
from crystalformer.sources.structures import to_crystal
from crystalformer.sources.tables import open_table

HALITE = cubic_cif(
    5.64,
    "Na1 Na+ 0 0 0 1", "Na2 Na+ 0 0.5 0.5 1", "Na3 Na+ 0.5 0 0.5 1", "Na4 Na+ 0.5 0.5 0 1",
    "Cl1 Cl- 0.5 0 0 1", "Cl2 Cl- 0 0.5 0 1", "Cl3 Cl- 0 0 0.5 1", "Cl4 Cl- 0.5 0.5 0.5 1",
)  # fmt: skip


def write_csv(path: Path, *rows: list[object]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def records(path: Path) -> list[Record]:
    rows = list(open_table(path).read().rows)
    assert all(isinstance(row, Record) for row in rows), rows
    return rows  # type: ignore[return-value]


def crystals(path: Path) -> list[Crystal]:
    return [to_crystal(record) for record in records(path)]


def rejections(path: Path) -> list[Rejection]:
    return [row for row in distinct(open_table(path).read().rows) if isinstance(row, Rejection)]
