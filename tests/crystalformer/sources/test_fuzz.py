"""Damaged files: whatever is in them, each row is a crystal or a rejection with its reason, or the file is
refused as a whole. Nothing crashes and no row is lost in silence.

`make fuzz` reads 10,000 files; among the other tests there are fewer, drawn with the same seed.
"""

import csv
import os
import random
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from damaged_files import ROWS, mutated, sources

from crystalformer.data.crystal import Crystal
from crystalformer.sources.parallel import convert_rows
from crystalformer.sources.records import DataError, Record, Rejection, distinct
from crystalformer.sources.structures import Rules
from crystalformer.sources.tables import open_table

FILES = int(os.environ.get("FUZZ", "1500"))
SECONDS = 20.0  # of CPU time, after which a file counts as a hang
NAMES = [
    *("x.cif", "x.vasp", "x.extxyz", "cif.csv", "poscar.csv", "arrays.jsonl", "atoms.jsonl", "text.jsonl"),
    *("list.json", "many.extxyz", "t.parquet"),
]


def converted(path: Path) -> list[tuple[Record | Rejection, Crystal | Rejection]]:
    return list(convert_rows(distinct(open_table(path).read().rows), Rules(), workers=0))


def table_of(folder: Path, name: str, content: bytes) -> Path:
    """The path to read: the file itself, or a table that names the structure file."""
    (folder / name).write_bytes(content)
    if not name.startswith("x."):
        return folder / name
    (folder / "names.csv").write_text(f"id,file,gap\na,{name},1\n")
    return folder / "names.csv"


@contextmanager
def no_hang() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError("a file took too long")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def check(path: Path, name: str) -> str:
    """What became of the file: "refused", or "read" with something sensible for every row."""
    try:
        rows = converted(path)
    except DataError as error:
        reason = str(error)
        rows = None
    if rows is None:
        assert reason.startswith(str(path.parent))
        return "refused"
    for row, result in rows:
        assert row.where
        if isinstance(result, Rejection):
            assert result.reason.strip()
            assert result.id == row.id
        else:
            assert np.isfinite(result.lattice).all()
            assert all(np.isfinite(value) for value in result.targets.values())
    assert len(rows) == lines_of(path, name)
    return "read"


def lines_of(path: Path, name: str) -> int:
    """The number of rows by a count that knows nothing of the readers, where there is one."""
    if name.startswith("x."):
        return 1
    if name.endswith(".jsonl"):
        text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
        return sum(1 for line in re.split(r"\r\n|\r|\n", text) if line.strip())
    if name.endswith(".csv"):
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return sum(1 for cells in csv.reader(file, strict=True) if any(map(str.strip, cells))) - 1
    return len(converted(path))


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    content = sources(tmp_path)[name]
    assert check(table_of(tmp_path, name, content), name) == "read"
    assert all(isinstance(result, Crystal) for _, result in converted(table_of(tmp_path, name, content)))
    rng = random.Random(NAMES.index(name))
    outcomes = []
    for number in range(-(-FILES // len(NAMES))):
        damaged = mutated(rng, content)
        try:
            with no_hang():
                outcomes.append(check(table_of(tmp_path, name, damaged), name))
        except Exception as error:
            (Path(os.environ.get("FUZZ_KEEP", tmp_path)) / f"failed-{number}-{name}").write_bytes(damaged)
            raise AssertionError(f"{name}, file {number}: {error!r}: {damaged[:3000]!r}") from error
    assert "read" in outcomes  # the mutations leave something to read


def test_an_undamaged_file_has_all_rows(tmp_path: Path) -> None:
    for name, content in sources(tmp_path).items():
        assert len(converted(table_of(tmp_path, name, content))) == (1 if name.startswith("x.") else ROWS)
