"""Data sets given by path: CSV, JSON and folders, and one clear message for each way to get them wrong."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crystalformer.data.crystal import Crystal
from crystalformer.sources.records import DataError, Record, Rejection, distinct
from crystalformer.sources.structures import to_crystal
from crystalformer.sources.tables import open_table

HALITE = """data_NaCl
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na+ 0 0 0 1
Na2 Na+ 0 0.5 0.5 1
Na3 Na+ 0.5 0 0.5 1
Na4 Na+ 0.5 0.5 0 1
Cl1 Cl- 0.5 0 0 1
Cl2 Cl- 0 0.5 0 1
Cl3 Cl- 0 0 0.5 1
Cl4 Cl- 0.5 0.5 0.5 1
"""
POSCAR = """cesium chloride
1.0
4.12 0 0
0 4.12 0
0 0 4.12
Cs Cl
1 1
direct
0 0 0
0.5 0.5 0.5
"""
ARRAYS = {
    "species": [55, 17],
    "lattice": [[4.12, 0, 0], [0, 4.12, 0], [0, 0, 4.12]],
    "frac": [[0, 0, 0], [0.5] * 3],
}


def pymatgen_dict() -> dict[str, Any]:
    from pymatgen.core import Lattice, Structure

    return Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5] * 3]).as_dict()


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


def assert_cesium_chloride(crystal: Crystal) -> None:
    assert crystal.numbers.tolist() == [55, 17]
    np.testing.assert_allclose(crystal.lattice, 4.12 * np.eye(3), atol=1e-12)
    np.testing.assert_allclose(crystal.frac_coords, [[0, 0, 0], [0.5] * 3], atol=1e-12)


def test_csv_of_cif_texts(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", ["cif", "energy"], [HALITE, -3.5], [HALITE, ""])
    first, second = crystals(path)
    assert (first.id, second.id) == ("row-1", "row-2")
    assert first.numbers.tolist() == [11] * 4 + [17] * 4  # in the order of the file
    np.testing.assert_allclose(first.lattice, 5.64 * np.eye(3), atol=1e-9)
    np.testing.assert_allclose(first.frac_coords[1], [0, 0.5, 0.5], atol=1e-12)
    assert first.targets == {"energy": -3.5}
    assert second.targets == {}


def test_csv_of_either_structure_text(tmp_path: Path) -> None:
    rows = [["a", json.dumps(pymatgen_dict())], ["b", HALITE]]
    first, second = crystals(write_csv(tmp_path / "t.csv", ["id", "structure"], *rows))
    assert_cesium_chloride(first)
    assert len(second) == 8


def test_csv_of_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "halite.cif").write_text(HALITE)
    (tmp_path / "POSCAR_1").write_text(POSCAR)
    rows = [["a", "in/halite.cif", "train", 1], ["b", "POSCAR_1", "valid", 2]]
    path = write_csv(tmp_path / "t.csv", ["id", "file", "split", "y"], *rows)
    first, second = crystals(path)
    assert len(first) == 8
    assert first.split == "train"
    assert second.split == "val"
    assert_cesium_chloride(second)


def test_columns_missing_values_and_ignored_text(tmp_path: Path) -> None:
    header = ["id", "formula", "cif", "gap (eV)", "K", "empty"]
    rows = [
        ["a", "NaCl", HALITE, "1.5", "NaN", ""],
        ["b", "NaCl", HALITE, " ", "2e2", ""],
        ["c", "?", HALITE, "-0", "None", ""],
    ]
    path = write_csv(tmp_path / "t.csv", header, *rows)
    assert [record.targets for record in records(path)] == [
        {"gap (eV)": 1.5},
        {"K": 200.0},
        {"gap (eV)": 0.0},
    ]
    assert open_table(path).read().ignored == {
        "formula": "line 2 has 'NaCl'",
        "empty": "nothing but empty cells",
    }


def test_byte_order_mark_blank_lines_and_large_cells(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    comment = "# " + "x" * 200_000
    path.write_text(f'id,cif,y\n\na,"{comment}\n{HALITE}",1\n\n', encoding="utf-8-sig")
    (crystal,) = crystals(path)
    assert crystal.id == "a"
    assert len(crystal) == 8


@pytest.mark.parametrize("name", ["id_prop.csv", "targets.csv"])
def test_folder_of_cif_files_named_by_id(tmp_path: Path, name: str) -> None:
    (tmp_path / "x1.cif").write_text(HALITE)
    (tmp_path / "x2.vasp").write_text(POSCAR)
    write_csv(tmp_path / name, ["id", "energy"], ["x1", -1.5], ["x2.vasp", 2])
    first, second = crystals(tmp_path)
    assert len(first) == 8
    assert first.targets == {"energy": -1.5}
    assert_cesium_chloride(second)


def test_folder_with_a_table_without_header(tmp_path: Path) -> None:
    (tmp_path / "x1.cif").write_text(HALITE)
    write_csv(tmp_path / "id_prop.csv", ["x1", -1.5])
    (record,) = records(tmp_path)
    assert record.id == "x1"
    assert record.targets == {"target": -1.5}


def test_json_forms_are_the_same_data(tmp_path: Path) -> None:
    entries = [
        ARRAYS | {"id": "a", "targets": {"e": 1, "gap": None}, "split": "test"},
        {"structure": pymatgen_dict(), "id": "b", "targets": {}},
    ]
    lines = "\n".join(json.dumps(entry) for entry in entries)
    (tmp_path / "t.json").write_text(json.dumps(entries))
    (tmp_path / "t.jsonl").write_text(lines + "\n\n")
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "t.json.gz").write_bytes(gzip.compress(json.dumps(entries).encode()))
    for name in ("t.json", "t.jsonl", "t.jsonl.gz", "t.json.gz"):
        first, second = crystals(tmp_path / name)
        assert (first.id, first.split, first.targets) == ("a", "test", {"e": 1.0})
        assert (second.id, second.split, second.targets) == ("b", None, {})
        assert_cesium_chloride(first)
        assert_cesium_chloride(second)


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
        (json.dumps(ARRAYS) + "\n{", "line 2: expected a JSON object, got an error"),
        (
            json.dumps(ARRAYS | {"targets": [1]}),
            "line 1: targets: expected an object of name and value, got [1]",
        ),
        (json.dumps(ARRAYS | {"split": 3}), "line 1: split: expected train, val or test, got 3"),
        (json.dumps(ARRAYS | {"id": ""}), "line 1: id: expected a text, got an empty one"),
        (json.dumps(ARRAYS | {"id": ["a"]}), "line 1: id: expected a text, got ['a']"),
        (json.dumps(ARRAYS | {"frac": None}), "line 1: frac: expected a list, got nothing"),
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
    path.write_text("\n".join(json.dumps(row) for row in (ARRAYS | {"targets": given}, ARRAYS | beside)))
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
