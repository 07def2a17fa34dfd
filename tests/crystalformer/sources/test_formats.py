"""The same crystals in every format that is read give the same store."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from damaged_files import ARRAYS, ATOMS, CIF, EXTXYZ, POSCAR, csv_text

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.splits import labelled_ids
from crystalformer.sources.atoms import read_extxyz
from crystalformer.sources.convert import convert
from crystalformer.sources.records import DataError
from crystalformer.sources.structure_lists import write_structures

IDS, GAPS, LABELS = ["a", "b", "c"], [1.5, 2.5, None], ["train", "val", "test"]
Write = Callable[[Path], Path]


def structure_dict() -> dict[str, Any]:
    from pymatgen.core import Lattice, Structure

    return Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5] * 3]).as_dict()


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"id": IDS, "gap": GAPS, "split": LABELS, "note": "x", **columns})


def folder_of(structure: str, name: str, table: str = "targets.csv", packed: bool = False) -> Write:
    def write(folder: Path) -> Path:
        for id_ in IDS:
            if packed:
                (folder / f"{id_}{name}.gz").write_bytes(gzip.compress(structure.encode()))
            else:
                (folder / f"{id_}{name}").write_text(structure)
        frame().to_csv(folder / table, index=False)
        return folder

    return write


def parquet_of(**columns: object) -> Write:
    def write(folder: Path) -> Path:
        frame(**columns).to_parquet(folder / "t.parquet")
        return folder / "t.parquet"

    return write


def csv_of(name: str = "t.csv", **columns: object) -> Write:
    def write(folder: Path) -> Path:
        frame(**columns).to_csv(folder / name, index=False)
        return folder / name

    return write


def lines_of(name: str, **entry: object) -> Write:
    def write(folder: Path) -> Path:
        rows = [
            {"id": id_, "gap": gap, "split": label, "note": "x", **entry}
            for id_, gap, label in zip(IDS, GAPS, LABELS, strict=True)
        ]
        text = json.dumps(rows) if ".jsonl" not in name else "\n".join(map(json.dumps, rows))
        (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return folder / name

    return write


def extended_xyz(folder: Path) -> Path:
    frames = [
        EXTXYZ.replace("gap=1.5", f"id={id_} split={label}" + (f" gap={gap}" if gap else ""))
        for id_, gap, label in zip(IDS, GAPS, LABELS, strict=True)
    ]
    (folder / "t.extxyz").write_text("".join(frames))
    return folder / "t.extxyz"


def ase_database(folder: Path) -> Path:
    from ase import Atoms
    from ase.db import connect

    with connect(folder / "t.db") as database:
        for id_, gap, label in zip(IDS, GAPS, LABELS, strict=True):
            atoms = Atoms(ATOMS["numbers"], ATOMS["positions"], cell=ATOMS["cell"], pbc=True)
            database.write(atoms, material_id=id_, split=label, **({"gap": gap} if gap else {}))
    return folder / "t.db"


def structure_list(folder: Path) -> Path:
    from pymatgen.core import Structure

    structures = [Structure.from_dict(structure_dict())] * 3
    return write_structures(folder / "t.jsonl.gz", structures, {"gap": GAPS}, IDS, LABELS)


FORMS: dict[str, Write] = {
    "csv of CIF": csv_of(cif=[CIF] * 3),
    "csv of CIF in a column of another name": csv_of(**{"final structure": [CIF] * 3}),
    "csv of POSCAR": csv_of(POSCAR=[POSCAR] * 3),
    "csv of any text": csv_of(structure=[CIF, POSCAR, json.dumps(structure_dict())]),
    "csv of arrays": csv_of(**{key: [json.dumps(value)] * 3 for key, value in ATOMS.items()}),
    "csv, gzipped": csv_of("t.csv.gz", cif=[CIF] * 3),
    "parquet of CIF": parquet_of(cif=[CIF] * 3),
    "parquet of bytes": parquet_of(cif=[CIF.encode()] * 3),
    "parquet of ASE's arrays": parquet_of(**{key: [value] * 3 for key, value in ATOMS.items()}),
    "parquet of arrays": parquet_of(**{key: [value] * 3 for key, value in ARRAYS.items()}),
    "JSON lines of arrays": lines_of("t.jsonl", **ARRAYS),
    "JSON lines of ASE's arrays, gzipped": lines_of("t.jsonl.gz", **ATOMS),
    "JSON of CIF": lines_of("t.json", cif=CIF),
    "JSON of pymatgen, gzipped": lines_of("t.json.gz", structure=structure_dict()),
    "folder of CIF": folder_of(CIF, ".cif"),
    "folder of gzipped CIF": folder_of(CIF, ".cif", packed=True),
    "folder of POSCAR": folder_of(POSCAR, ".vasp", "id_prop.csv"),
    "folder of extended XYZ, a table of any name": folder_of(EXTXYZ, ".extxyz", "mine.csv"),
    "extended XYZ": extended_xyz,
    "ASE database": ase_database,
    "structures from Python": structure_list,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_data(tmp_path: Path, form: str) -> None:
    (tmp_path / "in").mkdir()
    store = convert(FORMS[form](tmp_path / "in"), tmp_path / "data").store
    assert store.ids == tuple(IDS)
    assert store.split_labels == tuple(LABELS)
    assert set(store.targets) == {"gap"}
    np.testing.assert_array_equal(store.targets["gap"], [1.5, 2.5, np.nan])
    for row in range(3):
        crystal = store.crystal(row)
        assert crystal.numbers.tolist() == [55, 17]
        np.testing.assert_allclose(crystal.lattice, 4.12 * np.eye(3), atol=1e-9)
        np.testing.assert_allclose(crystal.frac_coords, [[0, 0, 0], [0.5] * 3], atol=1e-9)


def test_a_nested_structure_in_parquet(tmp_path: Path) -> None:
    """pandas writes dicts as structs, in which every row has the keys of all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = {"lattice": ARRAYS["lattice"], "frac": ARRAYS["frac"], "species": ARRAYS["species"]}
    other = {key: ATOMS[key] for key in ("numbers", "positions", "cell")}
    pq.write_table(pa.table({"structure": [plain, other], "y": [1, 2]}), tmp_path / "t.parquet")
    store = convert(tmp_path / "t.parquet", tmp_path / "data").store
    assert store.sizes.tolist() == [2, 2]


def test_disordered_structures_from_python(tmp_path: Path) -> None:
    from pymatgen.core import Lattice, Structure

    alloy = Structure(Lattice.cubic(3.6), [{"Fe": 0.65, "Ni": 0.25}, "O2-"], [[0, 0, 0], [0.5] * 3])
    store = convert(write_structures(tmp_path / "t.jsonl", [alloy], {"y": [1.0]}), tmp_path / "data").store
    np.testing.assert_allclose(store.crystal(0).mixed, [[0, 26, 0.65], [0, 28, 0.25]])
    assert store.crystal(0).numbers.tolist() == [26, 8]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": {"y": [1.0, 2.0]}}, "target y: expected 1 values, one per structure, got 2"),
        ({"ids": ["a", "b"]}, "ids: expected 1 values"),
        ({"split": ["dev"]}, "split: expected train, val or test, got dev"),
        ({"path": "t.csv"}, r"t\.csv: expected a file named \*\.jsonl or \*\.jsonl\.gz"),
    ],
)
def test_wrong_lists(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    from pymatgen.core import Structure

    arguments = {"path": tmp_path / "t.jsonl", "targets": {"y": [1.0]}} | changes
    with pytest.raises(ValueError, match=message):
        write_structures(structures=[Structure.from_dict(structure_dict())], **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_more_than_one_file_of_a_name(tmp_path: Path) -> None:
    folder = folder_of(CIF, ".cif")(tmp_path)
    shutil.copy(folder / "a.cif", folder / "a.vasp")
    with pytest.raises(DataError, match=r"expected one file of this name, got a\.cif, a\.vasp"):
        convert(folder, tmp_path / "data")


def test_a_folder_that_is_read_again_when_a_packed_file_changes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    folder = folder_of(CIF, ".cif", packed=True)(tmp_path / "in")
    first = convert(folder, tmp_path / "data").store
    (folder / "a.cif.gz").write_bytes(gzip.compress(CIF.replace("4.12", "4.2").encode()))
    second = convert(folder, tmp_path / "data").store
    assert isinstance(second, ArrayStore)
    assert second.digest != first.digest


def test_without_ase_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ase_database(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "ase.db", None)
    with pytest.raises(DataError, match=r"pip install 'crystalformer-suite\[ase\]'"):
        convert(path, tmp_path / "data")


def test_a_column_that_is_text_by_mistake_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(
        csv_text("cif", CIF).replace(b"1.5", b'"1,500"').replace(b"2.5", b"n.d.")
    )
    store = convert(tmp_path / "t.csv", tmp_path / "data").store
    assert store.manifest["source"]["ignored_columns"]["gap"] == "line 2 has '1,500'"
    with pytest.raises(ValueError, match=r"got 'gap'; that column was taken for text: line 2 has '1,500'"):
        labelled_ids(store, "gap")


def test_columns_are_counted_before_memory_is_set_aside() -> None:
    text = '1\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3333333333\nCu 0 0 0\n'
    with pytest.raises(ValueError, match="at most 1000 numbers of a kind per atom, got 3333333333"):
        read_extxyz(text)
