"""What a data set may not hold: each case ends as a line of the report, with place, id and reason."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from damaged_files import ARRAYS, CIF, EXTXYZ, POSCAR

from crystalformer.data.array_store import ArrayStore
from crystalformer.sources.convert import Conversion, convert
from crystalformer.sources.records import DataError, Rejection
from crystalformer.sources.rejections import summary, write_report

DISORDERED = CIF.replace("Cs1 Cs 0 0 0 1", "Cs1 Cs 0 0 0 0.5\nRb1 Rb 0 0 0 0.3")


def table(folder: Path, *rows: tuple[str, str, object], column: str = "cif") -> Path:
    """A CSV of id, structure and target, after a sound first row."""
    path = folder / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["id", column, "y"])
        lines.writerows([("sound", CIF if column == "cif" else POSCAR, 1), *rows])
    return path


def one_rejection(folder: Path, structure: str, column: str = "cif") -> Rejection:
    conversion = convert(table(folder, ("bad", structure, 2), column=column), folder / "data", 1)
    assert conversion.store.ids == ("sound",)
    (rejection,) = conversion.rejections
    assert rejection.id == "bad"
    assert rejection.where == {"cif": "line 23", "poscar": "line 13"}[column]
    return rejection


def read(folder: Path, structure: str) -> ArrayStore:
    return convert(table(folder, ("it", structure, 2)), folder / "data").store


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "0.5 0.5 0.5 1",
            "0.5 0.5 0.5 1\nCl2 Cl 0.5 0.5 0.5025 1",
            "at least 0.5 Å apart, got 0.0103 Å",
        ),
        (
            "length_a 4.12",
            "length_a 1000",
            "cell vectors of up to 500 Å, got 1000 Å; lengths are read as Å",
        ),
        ("angle_alpha 90", "angle_alpha 0", "lattice: expected finite values"),
        ("angle_gamma 90", "angle_gamma 180", "expected a structure, got an unreadable one"),
        ("length_b 4.12", "length_b nan", "lattice: expected finite values"),
        ("Cl1 Cl 0.5", "Xx1 Xx 0.5", "expected chemical elements, got Xx"),
        ("Cl1 Cl 0.5", "Uue1 Uue 0.5", "expected chemical elements, got Uue"),
        ("0.5 0.5 0.5 1", "0.5 0.5 0.5 1.7", "expected a structure, got an unreadable one"),
        ("Cl1 Cl 0.5", "O1 Wat 0.5", "expected all atoms with coordinates"),
        ("data_salt", CIF + "\ndata_other", "expected one data block with atoms in a CIF, got 2"),
        ("x,y,z\n-x", "x,y,z\n" * 300 + "-x", "expected at most 192 symmetry operations"),
        (CIF, "", "cif: expected a structure, got an empty cell"),
        (CIF, "hello", "expected a structure, got an unreadable one"),
    ],
)
def test_a_cif_that_is_no_crystal(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in CIF
    assert reason in one_rejection(tmp_path, CIF.replace(old, new)).reason


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("1 1\ndirect", "1 1000000000\ndirect", "expected at most 5000 atoms, got 1000000001"),
        ("4.12 0 0", "0 0 0", "expected three cell vectors that span a volume"),
        ("Cs Cl\n", "", "cannot be determined"),
    ],
)
def test_a_poscar_that_is_no_crystal(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert reason in one_rejection(tmp_path, POSCAR.replace(old, new, 1), "poscar").reason


def test_atomic_numbers_end_at_118(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(ARRAYS | {"species": [55, z]}) for z in (17, 118, 119, 0, 1.5)))
    conversion = convert(path, tmp_path / "data", 3)
    assert conversion.store.ids == ("row-1", "row-2")
    assert all("expected atomic numbers 1 to 118" in rejection.reason for rejection in conversion.rejections)


def test_what_is_read_as_it_is(tmp_path: Path) -> None:
    """Deuterium is hydrogen; partial occupancy is kept; a second block without atoms is none."""
    deuterium = read(tmp_path, CIF.replace("Cl1 Cl", "D1 D"))
    assert sorted(deuterium.crystal(1).numbers.tolist()) == [1, 55]
    mixed = read(tmp_path, DISORDERED).crystal(1).mixed
    assert sorted(mixed[:, 1:].tolist()) == [[37, 0.3], [55, 0.5]]
    beside = read(tmp_path, "data_global\n_journal_name 'None'\n" + CIF)
    assert len(beside.crystal(1)) == 2


def test_close_sites_that_are_never_both_filled(tmp_path: Path) -> None:
    split = CIF.replace("-x,-y,-z\n", "").replace(
        "0.5 0.5 0.5 1", "0.5 0.5 0.51 0.5\nCl2 Cl 0.5 0.5 0.49 0.5"
    )
    assert len(read(tmp_path, split).crystal(1)) == 3


def test_left_handed_and_skewed_cells(tmp_path: Path) -> None:
    left = ARRAYS | {"lattice": [[0, 4.12, 0], [4.12, 0, 0], [0, 0, 4.12]]}
    skewed = ARRAYS | {"lattice": [[4.12, 0, 0], [412, 4.12, 0], [-412, 412, 4.12]]}
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, (left, skewed))))
    store = convert(path, tmp_path / "data", 1).store
    assert np.linalg.det(store.lattices[0]) < 0
    assert len(store) == 1  # 583 Å; the same cell with vectors of 412 Å would pass


def test_distances_are_found_in_skewed_cells_too(tmp_path: Path) -> None:
    """Two atoms 0.3 Å apart along z, in a cell whose second vector is 60 times the first."""
    lattice = np.array([[3.0, 0, 0], [180.0, 0.4, 0], [0, 0, 9.0]])
    positions = np.array([[0, 0, 0], [120.0 + 0.1, 0.0, 0.25]])
    frac = np.linalg.solve(lattice.T, positions.T).T
    entry = {"species": [1, 1], "lattice": lattice.tolist(), "frac": frac.tolist()}
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(ARRAYS) + "\n" + json.dumps(entry))
    (rejection,) = convert(path, tmp_path / "data", 1).rejections
    assert "expected atoms at least 0.5 Å apart" in rejection.reason


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_byte_order_marks_and_line_ends(tmp_path: Path, end: str, mark: str) -> None:
    (tmp_path / "a.cif").write_bytes((mark + CIF.replace("\n", end)).encode())
    (tmp_path / "b.vasp").write_bytes((mark + POSCAR.replace("\n", end)).encode())
    (tmp_path / "t.csv").write_bytes((mark + end.join(["ID,File,y", "a,a.cif,1", "b,b.vasp,2", ""])).encode())
    store = convert(tmp_path / "t.csv", tmp_path / "data").store
    assert store.ids == ("a", "b")
    assert store.sizes.tolist() == [2, 2]


def test_empty_files_and_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "sound.cif").write_text(CIF)
    (tmp_path / "empty.cif").write_text("")
    (tmp_path / "latin.cif").write_bytes(("# Müller\n" + CIF).encode("latin-1"))
    (tmp_path / "wide.cif").write_bytes(CIF.encode("utf-16"))
    (tmp_path / "t.csv").write_bytes(
        b"id,file,y\ns,sound.cif,1\ne,empty.cif,2\nl,latin.cif,3\nw,wide.cif,4\ng,gone.cif,5\nM\xfcller,sound.cif,6\n"
    )
    conversion = convert(tmp_path / "t.csv", tmp_path / "data", 5)
    reasons = {rejection.id: rejection.reason for rejection in conversion.rejections}
    assert conversion.store.ids == ("s",)
    assert "unreadable" in reasons["e"]
    assert "expected text in UTF-8, got the byte 0xfc in line 1 of latin.cif" in reasons["l"]
    assert "expected text in UTF-8, got the byte 0xff in line 1" in reasons["w"]
    assert "expected the file gone.cif, got none" in reasons["g"]
    assert "id: expected printable characters" in reasons["row-6"]


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    values = {"a": "1,234.5", "b": "inf", "c": "nan", "d": 4, "e": 5, "f": 6}
    rows = [(id_, CIF, value) for id_, value in values.items()]
    conversion = convert(table(tmp_path, *rows), tmp_path / "data")
    assert conversion.rejected_rows == 0
    assert len(conversion.store) == 7
    assert [(r.id, r.target) for r in conversion.rejections] == [("a", "y"), ("b", "y")]
    assert np.isnan(conversion.store.targets["y"][[1, 2, 3]]).all()
    rows = [(row["id"], row["target"], row["reason"]) for row in csv.DictReader(conversion.report.open())]
    assert rows[0] == ("a", "y", "y: expected a finite number or nothing, got '1,234.5'")


def test_the_run_goes_on_with_as_many_as_allowed(tmp_path: Path) -> None:
    path = table(tmp_path, ("a", "no cif", 1), ("sound", CIF, 1))
    with pytest.raises(DataError, match=r"at most 1 unreadable crystals \(max_rejected\), got 2 of 3"):
        convert(path, tmp_path / "data", 1)
    conversion = convert(path, tmp_path / "data", 2)
    assert [r.reason for r in conversion.rejections][1] == "expected every id once, got it in line 2 before"
    assert reported(conversion) == [("line 23", "a"), ("line 24", "sound")]


def reported(conversion: Conversion) -> list[tuple[str, str]]:
    assert conversion.report is not None
    with conversion.report.open(newline="") as file:
        return [(row["line"], row["id"]) for row in csv.DictReader(file)]


def test_the_report_is_harmless_in_a_spreadsheet(tmp_path: Path) -> None:
    write_report(tmp_path / "r.csv", [Rejection('=HYPERLINK("x")', "line 2", '-1, "no" number\nat all')])
    (row,) = csv.DictReader((tmp_path / "r.csv").open(newline=""))
    assert row["id"] == '\'=HYPERLINK("x")'
    assert row["reason"] == '\'-1, "no" number\nat all'
    write_report(tmp_path / "r.csv", [])
    assert not (tmp_path / "r.csv").exists()


def test_a_summary_counts_reasons_that_differ_by_numbers_and_names_alone() -> None:
    found = [Rejection(f"c-{i}", f"line {i}", f"crystal 'c-{i}': expected 3, got {i}") for i in range(5)]
    found += [Rejection("x", "line 9", "expected a structure")]
    lines = summary(found)
    assert lines == [
        "      5 x crystal 'c-0': expected 3, got 0 (line 0, c-0)",
        "      1 x expected a structure (line 9, x)",
    ]


def test_extended_xyz_without_a_cell(tmp_path: Path) -> None:
    (tmp_path / "t.extxyz").write_text(EXTXYZ + EXTXYZ.replace("Lattice=", "Nothing="))
    (rejection,) = convert(tmp_path / "t.extxyz", tmp_path / "data", 1).rejections
    assert rejection.where == "line 5"
    assert "expected cell vectors (Lattice=...), got none" in rejection.reason
