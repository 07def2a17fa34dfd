"""One clear message for each way to get a data set by path wrong."""

import gzip
import json
from pathlib import Path

import pytest
from crystal_files import LINE, POSCAR
from table_files import HALITE, crystals, records, rejections, write_csv

from crystalformer.sources.records import DataError, Rejection
from crystalformer.sources.tables import open_table


@pytest.mark.parametrize(
    "cell", ["../secret.cif", "/etc/passwd", "in/../../secret.cif", "link.cif", "loop/x.cif"]
)
def test_files_outside_the_tables_folder_are_refused(tmp_path: Path, cell: str) -> None:
    folder = tmp_path / "data"
    (folder / "in").mkdir(parents=True)
    (tmp_path / "secret.cif").write_text(HALITE)
    (folder / "link.cif").symlink_to(tmp_path / "secret.cif")
    (folder / "loop").symlink_to(tmp_path)
    path = write_csv(folder / "t.csv", ["id", "file"], ["a", cell])
    (rejection,) = rejections(path)
    assert (rejection.id, rejection.where) == ("a", "line 2")
    assert "file: expected a path inside the folder of the table, without .., got" in rejection.reason


def test_ids_cannot_lead_outside_the_folder_either(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "secret.cif").write_text(HALITE)
    write_csv(folder / "targets.csv", ["id", "y"], ["../secret", 1])
    (rejection,) = rejections(folder)
    assert rejection.reason.startswith("id: expected a path inside the folder of the table")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header and at least one row, got an empty file"),
        ("id,cif\n", "expected a header and at least one row, got no rows"),
        ("id,energy\na,1\n", "expected one of the columns structure, cif, poscar, extxyz, file, or species,"),
        ("id,cif,file\na,x,y\n", "got the columns id, cif, file"),
        ("id;cif\na;x\n", "got the columns id;cif"),
        ("id,cif,y,y\na,x,1,2\n", "expected every column once, got y twice"),
        ('id,cif\na,"x\n', "line 2: expected comma-separated values, got an error: unexpected end of data"),
    ],
)
def test_malformed_csv(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        list(open_table(path).read().rows)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rejection"),
    [
        ("id,cif,y\na,x,1\nb,x\n", Rejection("row-2", "line 3", "expected 3 cells, got 2")),
        (
            "id,cif\na,x\nb,x\na,x\n",
            Rejection("a", "line 4", "expected every id once, got it in line 2 before"),
        ),
        ("id,cif\n,x\n", Rejection("row-1", "line 2", "id: expected a text, got an empty one")),
        (
            "id,cif\na\x07,x\n",
            Rejection("row-1", "line 2", r"id: expected printable characters, got 'a\x07'"),
        ),
        ("id,file\na,\n", Rejection("a", "line 2", "file: expected a structure, got an empty cell")),
        (
            "id,cif,split\na,x,dev\n",
            Rejection("a", "line 2", "split: expected train, val or test, got 'dev'"),
        ),
    ],
)
def test_rows_of_a_csv_that_cannot_be_used(tmp_path: Path, text: str, rejection: Rejection) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert rejections(tmp_path / "t.csv") == [rejection]


@pytest.mark.parametrize(
    ("cell", "fine"),
    [
        *((cell, False) for cell in ("1,234.5", "1 234", "1_234", "inf", "-1e999", "0x1f")),
        *((cell, True) for cell in (" 2.5 ", "1e-3", "+4", "NaN", "n/a")),
    ],
)
def test_a_value_that_is_no_number_is_missing_and_reported(tmp_path: Path, cell: str, fine: bool) -> None:
    rows = [["a", "x", 1, 5], ["b", "x", 2, 6], ["c", "x", cell, 7]]
    record = records(write_csv(tmp_path / "t.csv", ["id", "cif", "y", "z"], *rows))[2]
    assert record.targets["z"] == 7
    if fine:
        assert not record.faults
    else:
        reason = f"y: expected a finite number or nothing, got {cell!r}"
        assert record.faults == (Rejection("c", "line 4", reason, "y"),)
        assert "y" not in record.targets


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "line 1: expected one of the columns structure, cif,"),
        ("[1]", "line 1: expected an object, got [1]"),
        (json.dumps(LINE) + "\n{", "line 2: expected a JSON object, got an error"),
        (
            json.dumps(LINE | {"targets": [1]}),
            "line 1: targets: expected an object of name and value, got [1]",
        ),
        (json.dumps(LINE | {"split": 3}), "line 1: split: expected train, val or test, got 3"),
        (json.dumps(LINE | {"id": ""}), "line 1: id: expected a text, got an empty one"),
        (json.dumps(LINE | {"id": ["a"]}), "line 1: id: expected a text, got ['a']"),
        (json.dumps(LINE | {"frac": None}), "line 1: frac: expected a list, got nothing"),
    ],
)
def test_malformed_json_lines(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    (rejection,) = rejections(path)
    assert message in f"{rejection.where}: {rejection.reason}"


def test_targets_of_json(tmp_path: Path) -> None:
    """Those of `targets`, where only numbers count, or else every number beside the structure."""
    given = {"e": "low", "f": True, "g": 1, "h": None, "i": "nan", "j": float("inf")}
    beside = {"e": "low", "f": True, "g": 1, "h": None, "j": float("inf")}
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (LINE | {"targets": given}, LINE | beside)))
    first, second = records(path)
    assert first.targets == second.targets == {"g": 1.0}
    assert [fault.target for fault in first.faults] == ["e", "f", "j"]
    assert [fault.target for fault in second.faults] == ["j"]
    assert "j: expected a finite number or nothing, got inf" in second.faults[0].reason


def test_other_unreadable_sources(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv: expected a file or folder, got nothing of that name"):
        open_table(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match=r"expected a folder with id_prop\.csv or targets\.csv, or one other"):
        open_table(tmp_path)
    for name, content, message in [
        ("t.xlsx", b"", r"expected a file named \*.csv, \*.json"),
        ("t.json", b'{"a": 1}', "expected a JSON list of crystals, got "),
        ("t2.json", b"[1,\n", "t2.json: expected JSON that ends with the list"),
        ("t3.json", b"[1,\n{]", "t3.json, entry 2: expected JSON, got an error: "),
        ("t.jsonl.gz", gzip.compress(b"{}")[:-4], "expected a whole gzipped file, got"),
        ("t2.jsonl.gz", b"plain", "expected a whole gzipped file, got"),
        ("t.csv.gz", gzip.compress(b"id,cif\n")[:-9], "expected a whole gzipped file, got"),
        ("t.parquet", b"PAR1 nothing", "expected a parquet file, got an unreadable one"),
        ("t.db", b"no database at all", r"expected an ASE database \(SQLite\), got an error"),
        ("t.xyz", b"2\n\nH 0 0 0\n", "line 1: expected 3 more lines, got 2"),
        ("t2.xyz", b"two\n", "line 1: expected the number of atoms of a crystal, got 'two'"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            list(open_table(tmp_path / name).read().rows)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.cif", "no cif", "expected a structure, got an unreadable one"),
        ("x.cif", "", "expected a structure, got an unreadable one"),
        ("x.cif", HALITE.replace("Na1 Na+ 0 0 0 1", "Na1 Na+ 0 0 0 1.5"), "got an unreadable one"),
        (
            "x.vasp",
            POSCAR.replace("Cs Cl\n", ""),
            "expected a structure, got an unreadable one .*cannot be determined",
        ),
        ("x.vasp", POSCAR.replace("Cs Cl\n1 1", "Cs Cl\n1 2"), "expected a structure, got an unreadable one"),
        ("x.txt", POSCAR, r"expected a file named \*.cif"),
    ],
)
def test_unreadable_structures(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    path = write_csv(tmp_path / "t.csv", ["id", "file"], ["a", name])
    with pytest.raises(ValueError, match=message):
        crystals(path)
