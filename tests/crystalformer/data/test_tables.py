"""Data sets given by path: CSV, JSON and folders, and one clear message for each way to get them wrong."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crystalformer.data.crystal import Crystal
from crystalformer.sources.records import DataError
from crystalformer.sources.structures import to_crystal
from crystalformer.sources.tables import Table, read_table

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


def crystals(table: Table) -> list[Crystal]:
    return [to_crystal(record) for record in table.records]


def assert_cesium_chloride(crystal: Crystal) -> None:
    assert crystal.numbers.tolist() == [55, 17]
    np.testing.assert_allclose(crystal.lattice, 4.12 * np.eye(3), atol=1e-12)
    np.testing.assert_allclose(crystal.frac_coords, [[0, 0, 0], [0.5] * 3], atol=1e-12)


def test_csv_of_cif_texts(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", ["cif", "energy"], [HALITE, -3.5], [HALITE, ""])
    first, second = crystals(read_table(path))
    assert (first.id, second.id) == ("row-1", "row-2")
    assert first.numbers.tolist() == [11] * 4 + [17] * 4  # in the order of the file
    np.testing.assert_allclose(first.lattice, 5.64 * np.eye(3), atol=1e-9)
    np.testing.assert_allclose(first.frac_coords[1], [0, 0.5, 0.5], atol=1e-12)
    assert first.targets == {"energy": -3.5}
    assert second.targets == {}


def test_csv_of_either_structure_text(tmp_path: Path) -> None:
    rows = [["a", json.dumps(pymatgen_dict())], ["b", HALITE]]
    first, second = crystals(read_table(write_csv(tmp_path / "t.csv", ["id", "structure"], *rows)))
    assert_cesium_chloride(first)
    assert len(second) == 8


def test_csv_of_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "halite.cif").write_text(HALITE)
    (tmp_path / "POSCAR_1").write_text(POSCAR)
    rows = [["a", "in/halite.cif", "train", 1], ["b", "POSCAR_1", "valid", 2]]
    path = write_csv(tmp_path / "t.csv", ["id", "file", "split", "y"], *rows)
    first, second = crystals(read_table(path))
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
    table = read_table(write_csv(tmp_path / "t.csv", header, *rows))
    assert [record.targets for record in table.records] == [
        {"gap (eV)": 1.5},
        {"K": 200.0},
        {"gap (eV)": 0.0},
    ]
    assert table.ignored == ("formula", "empty")


def test_byte_order_mark_blank_lines_and_large_cells(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    comment = "# " + "x" * 200_000
    path.write_text(f'id,cif,y\n\na,"{comment}\n{HALITE}",1\n\n', encoding="utf-8-sig")
    (crystal,) = crystals(read_table(path))
    assert crystal.id == "a"
    assert len(crystal) == 8


@pytest.mark.parametrize("name", ["id_prop.csv", "targets.csv"])
def test_folder_of_cif_files_named_by_id(tmp_path: Path, name: str) -> None:
    (tmp_path / "x1.cif").write_text(HALITE)
    (tmp_path / "x2.vasp").write_text(POSCAR)
    write_csv(tmp_path / name, ["id", "energy"], ["x1", -1.5], ["x2.vasp", 2])
    first, second = crystals(read_table(tmp_path))
    assert len(first) == 8
    assert first.targets == {"energy": -1.5}
    assert_cesium_chloride(second)


def test_folder_with_a_table_without_header(tmp_path: Path) -> None:
    (tmp_path / "x1.cif").write_text(HALITE)
    write_csv(tmp_path / "id_prop.csv", ["x1", -1.5])
    (record,) = read_table(tmp_path).records
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
        first, second = crystals(read_table(tmp_path / name))
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
    with pytest.raises(
        DataError, match=r"line 2: file: expected a path inside the folder of the table, without \.\."
    ):
        read_table(path)


def test_ids_cannot_lead_outside_the_folder_either(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "secret.cif").write_text(HALITE)
    write_csv(folder / "targets.csv", ["id", "y"], ["../secret", 1])
    with pytest.raises(DataError, match="line 2: id: expected a path inside the folder"):
        read_table(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header and at least one row, got an empty file"),
        ("id,cif\n", "expected a header and at least one row, got no rows"),
        ("id,energy\na,1\n", "expected one of the columns structure, cif, file, got the columns id, energy"),
        (
            "id,cif,file\na,x,y\n",
            "expected one of the columns structure, cif, file, got the columns id, cif, file",
        ),
        ("id;cif\na;x\n", "expected one of the columns structure, cif, file, got the columns id;cif"),
        ("id,cif,y,y\na,x,1,2\n", "expected every column once, got y twice"),
        ("id,cif,y\na,x,1\nb,x\n", "line 3: expected 3 cells, got 2"),
        ("id,cif\na,x\nb,x\na,x\n", "expected every id once, got 'a' in line 2, line 4"),
        ("id,cif\n,x\n", "line 2: id: expected a text, got an empty cell"),
        ("id,file\na,\n", "line 2: file: expected a file name, got an empty cell"),
        ("id,cif,split\na,x,dev\n", "line 2: split: expected train, val or test, got 'dev'"),
        (
            'id,cif,y\na,x,1\nb,x,2\nc,x,"1,5"\n',
            "line 4: y: expected a finite number or an empty cell, got '1,5'",
        ),
        (
            "id,cif,y\na,x,1\nb,x,2\nc,x,inf\n",
            "line 4: y: expected a finite number or an empty cell, got 'inf'",
        ),
        ('id,cif\na,"x\n', "expected comma-separated values in UTF-8"),
    ],
)
def test_malformed_csv(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected at least one crystal, got none"),
        ("{}", "line 1: expected the keys species, lattice, frac or structure, got "),
        ("[1]", "line 1: expected an object, got [1]"),
        (json.dumps(ARRAYS) + "\n{", "line 2: expected a JSON object, got an error"),
        (
            json.dumps(ARRAYS | {"targets": {"e": "low"}}),
            "line 1: target e: expected a finite number or null, got 'low'",
        ),
        (
            json.dumps(ARRAYS | {"targets": {"e": True}}),
            "line 1: target e: expected a finite number or null, got True",
        ),
        (
            json.dumps(ARRAYS | {"targets": [1]}),
            "line 1: targets: expected an object of name and value, got [1]",
        ),
        (json.dumps(ARRAYS | {"split": 3}), "line 1: split: expected train, val or test, got 3"),
        (json.dumps(ARRAYS | {"id": ""}), "line 1: id: expected a text, got an empty one"),
    ],
)
def test_malformed_json_lines(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert message in str(caught.value)


def test_other_unreadable_sources(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv: expected a file or folder, got nothing of that name"):
        read_table(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match=r"expected a folder with id_prop\.csv or targets\.csv, got neither"):
        read_table(tmp_path)
    for name, content, message in [
        ("t.xlsx", b"", r"expected a file named \*.csv, \*.json"),
        ("t.json", b'{"a": 1}', "expected a list of crystals, got a JSON dict"),
        ("t2.json", b"[1,\n", "t2.json: expected JSON, got an error: Expecting value: line 2"),
        ("t.jsonl.gz", gzip.compress(b"{}")[:-4], "expected a whole file in UTF-8"),
        ("t2.jsonl.gz", b"plain", "expected a whole file in UTF-8"),
        ("latin.csv", "id,cif\nä,x".encode("latin-1"), "expected comma-separated values in UTF-8"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / name)


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
        ("x.xyz", POSCAR, r"expected a file named \*.cif"),
    ],
)
def test_unreadable_structures(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    path = write_csv(tmp_path / "t.csv", ["id", "file"], ["a", name])
    with pytest.raises(ValueError, match=message):
        crystals(read_table(path))
