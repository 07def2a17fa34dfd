"""Data sets given by path: CSV, JSON and folders, and the columns and values in them."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crystal_files import LINE, POSCAR
from table_files import HALITE, crystals, records, write_csv

from crystalformer.data.crystal import Crystal
from crystalformer.sources.tables import open_table


def pymatgen_dict() -> dict[str, Any]:
    from pymatgen.core import Lattice, Structure

    return Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5] * 3]).as_dict()


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
        LINE | {"id": "a", "targets": {"e": 1, "gap": None}, "split": "test"},
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
