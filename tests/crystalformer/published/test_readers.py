"""The published formats: written as their publishers do and read back; what is no such file is said."""

import gzip
import io
import json
import math
import os
import pickle
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_files import (
    NUMBERS,
    crystal,
    jarvis_atoms,
    structure,
    write_cdvae,
    write_matbench,
    write_moduli,
    write_zip,
)

from crystalformer.data.catalog import DATASETS
from crystalformer.sources.published import texts
from crystalformer.sources.published.csv_files import read_csv
from crystalformer.sources.published.jarvis import read_jarvis
from crystalformer.sources.published.matbench import read_matbench
from crystalformer.sources.published.pickles import plain, read_pickle
from crystalformer.sources.published.texts import json_elements, open_text
from crystalformer.sources.records import DataError, Record
from crystalformer.sources.structures import to_crystal

MEGNET, BULK, SHEAR = DATASETS["mp-2018.6.1"].parts
JARVIS = DATASETS["jarvis-dft-3d-2021"].parts[0]


def assert_is_crystal(record: Record, row: int, atol: float = 1e-9) -> None:
    """The atoms in any order and the cell in any orientation, since a CIF keeps neither."""
    made, read = crystal(row), to_crystal(record)
    numbers = np.array([NUMBERS[symbol] for symbol in made["symbols"]])
    assert sorted(read.numbers.tolist()) == sorted(numbers.tolist())
    gram = np.array(made["lattice"]) @ np.array(made["lattice"]).T
    np.testing.assert_allclose(read.lattice @ read.lattice.T, gram, atol=1e-3)
    frac = np.array(made["frac"])[np.argsort(numbers)]
    np.testing.assert_allclose(read.frac_coords[np.argsort(read.numbers)], frac, atol=atol)


@pytest.mark.parametrize("cartesian", [False, True])
def test_megnet_as_jarvis_distributes_it(tmp_path: Path, cartesian: bool) -> None:
    entries = [
        {"id": f"mp-{row}", "e_form": -0.5 * row, "gap pbe": row, "atoms": jarvis_atoms(row, cartesian)}
        for row in range(3)
    ]
    records = list(read_jarvis(write_zip(tmp_path / "megnet.json.zip", entries), MEGNET, None))
    assert [record.id for record in records] == ["mp-0", "mp-1", "mp-2"]
    assert records[2].targets == {"formation_energy_per_atom": -1.0, "band_gap": 2.0}
    for row, record in enumerate(records):
        assert_is_crystal(record, row)
    unzipped = tmp_path / "megnet.json"
    unzipped.write_text(json.dumps(entries))
    assert [record.targets for record in read_jarvis(unzipped, MEGNET, None)] == [r.targets for r in records]


def test_megnets_own_release(tmp_path: Path) -> None:
    entries = [
        {
            "material_id": f"mp-{row}", "structure": str(structure(row).to(fmt="cif")),
            "graph": {"atom": [1] * 50},
            "formation_energy_per_atom": -1.5, "band_gap": 0.25,
        }
        for row in range(2)
    ]  # fmt: skip
    records = list(read_jarvis(write_zip(tmp_path / "mp.2018.6.1.json.zip", entries), MEGNET, None))
    assert [(r.id, r.targets["formation_energy_per_atom"], r.targets["band_gap"]) for r in records] == [
        ("mp-0", -1.5, 0.25), ("mp-1", -1.5, 0.25),
    ]  # fmt: skip
    for row, record in enumerate(records):
        assert_is_crystal(record, row, atol=1e-6)


def test_what_jarvis_writes_for_missing_values(tmp_path: Path) -> None:
    entry = {"jid": "JVASP-1", "atoms": jarvis_atoms(0)} | dict.fromkeys(JARVIS.keys.values(), 1.0)
    values = ["na", math.nan, None, math.inf, True, 2, "3.5"]
    entries = [entry | {"mbj_bandgap": value} for value in values]
    records = read_jarvis(write_zip(tmp_path / "dft_3d.json.zip", entries), JARVIS, None)
    assert [record.targets.get("band_gap_mbj") for record in records] == [None] * 5 + [2.0, 3.5]


def test_blanks_around_symbols_and_unknown_ones(tmp_path: Path) -> None:
    entry = {"id": "a", "e_form": 0, "gap pbe": 0, "atoms": jarvis_atoms(0)}
    padded, unknown = json.loads(json.dumps([entry, entry]))
    padded["atoms"]["elements"] = ["Cs ", " Cl"]
    unknown["atoms"]["elements"] = ["Cs", "Xx"]
    good, bad = read_jarvis(write_zip(tmp_path / "m.zip", [padded, unknown]), MEGNET, None)
    assert to_crystal(good).numbers.tolist() == [55, 17]
    with pytest.raises(ValueError, match="atomic numbers"):
        to_crystal(bad)


def test_matbench(tmp_path: Path) -> None:
    part = replace(DATASETS["matbench-log_kvrh"].parts[0], crystals=10987)
    path = write_matbench(tmp_path / "matbench_log_kvrh.json.gz", "log10(K_VRH)", [1.5, 2.0])
    records = list(read_matbench(path, part, None))
    assert [record.id for record in records] == ["mb-log-kvrh-00001", "mb-log-kvrh-00002"]
    assert [record.targets for record in records] == [{"log10_K_VRH": 1.5}, {"log10_K_VRH": 2.0}]
    for row, record in enumerate(records):
        assert_is_crystal(record, row)
    with pytest.raises(DataError, match="expected the columns structure, n, got"):
        list(read_matbench(path, DATASETS["matbench-dielectric"].parts[0], None))
    strange = tmp_path / "matbench_strange.json"
    strange.write_text('{"columns": ["structure", "log10(K_VRH)", []], "data": [[{}, 1.5, 0]]}')
    with pytest.raises(DataError, match="expected the columns structure, log10"):  # a name that is a list
        list(read_matbench(strange, part, None))


def test_cdvae(tmp_path: Path) -> None:
    columns = {name: [0.5, 1.5] for name in ("heat_ref", "heat_all", "dir_gap", "ind_gap")}
    path = write_cdvae(tmp_path / "perov_5_val.csv", ["18517", "15400"], columns)
    records = list(read_csv(path, DATASETS["perov-5"].parts[0], "val"))
    assert [(record.id, record.split) for record in records] == [("18517", "val"), ("15400", "val")]
    assert records[1].targets == dict.fromkeys(columns, 1.5)
    for row, record in enumerate(records):
        assert_is_crystal(record, row, atol=1e-6)
    with pytest.raises(DataError, match="expected the columns material_id, cif, energy_per_atom, got"):
        list(read_csv(path, DATASETS["carbon-24"].parts[0], "val"))


@pytest.mark.parametrize("protocol", range(6))
def test_pickled_moduli(tmp_path: Path, protocol: int) -> None:
    path = write_moduli(tmp_path / "bulk.pkl", "bulk modulus", {"mp-1": 2.25, "mp-2": 1.75}, protocol)
    records = list(read_pickle(path, BULK, "train"))
    assert [(r.id, r.targets, r.split) for r in records] == [
        ("mp-1", {"log10_K_VRH": 2.25}, "train"), ("mp-2", {"log10_K_VRH": 1.75}, "train"),
    ]  # fmt: skip
    for row, record in enumerate(records):
        assert_is_crystal(record, row)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "<i4", "u1"])
def test_pickled_arrays_are_nested_lists(tmp_path: Path, protocol: int, kind: str) -> None:
    array = np.arange(6, dtype=kind).reshape(2, 3)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"coords": array, "one": array[1, 2]}, protocol=protocol))
    read = plain(path)
    assert [list(row) for row in read["coords"]] == array.tolist()
    assert read["one"] == 5


class Attack:
    """Pickles as a call."""

    def __init__(self, call: object, *arguments: object) -> None:
        self.made = (call, arguments)

    def __reduce__(self) -> tuple:
        return self.made


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (Attack(os.system, "touch owned"), "posix.system"),
        (Attack(eval, "open('owned', 'w')"), "builtins.eval"),
        (Attack(getattr, "", "join"), "builtins.getattr"),
        (Attack(np.frombuffer, b"12345678"), "frombuffer"),
        (np.array([Attack(os.system, "touch owned")], dtype=object), "posix.system"),
        (np.array([1, "a"], dtype=object), "the NumPy type 'O8'"),
        (Path("owned"), "Path"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: object, named: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evil.pkl").write_bytes(pickle.dumps([attack], protocol=protocol))
    with pytest.raises(DataError, match="expected a pickle of plain lists and numbers"):
        plain(Path("evil.pkl"))
    assert not Path("owned").exists()


def test_a_pickle_changes_nothing_it_can_name(tmp_path: Path) -> None:
    """BUILD sets attributes; here on the makers of NumPy's numbers, by name and through a state."""
    for state in (b"}X\x04\x00\x00\x00evilK\x01s", b"N}X\x08\x00\x00\x00__call__K\x01s\x86"):
        path = tmp_path / "build.pkl"
        path.write_bytes(b"\x80\x04cnumpy.core.multiarray\nscalar\n" + state + b"b.")
        with pytest.raises(DataError):
            plain(path)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_pickles_give_data_or_one_message(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "m.pkl"
    content = bytearray(write_moduli(path, "bulk modulus", {"mp-1": 2.25}).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    crystals_or_messages(read_pickle(path, BULK, None))


STRANGE = ("null", "true", "[]", "{}", '"x"', "-1", "1e999", "NaN", '""', "[[]]", '{"a": 1}', "1" * 30)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_json_gives_data_or_one_message(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A value is replaced by one of another kind, or a stretch of text is cut out."""
    entry = {"id": "mp-1", "e_form": 1.5, "gap pbe": 2, "atoms": jarvis_atoms(1, cartesian=True)}
    table = {"index": [0], "columns": ["structure", "log10(K_VRH)"], "data": [[structure(1).as_dict(), 1.5]]}
    matbench = data.draw(st.booleans())
    text = json.dumps(table if matbench else [entry])
    if data.draw(st.integers(0, 3)):
        tokens = list(re.finditer(r'-?\d+\.?\d*|"[^"]*"|true|false|\[[^\[\]]*\]', text))
        token = data.draw(st.sampled_from(tokens))
        text = text[: token.start()] + data.draw(st.sampled_from(STRANGE)) + text[token.end() :]
    else:
        start = data.draw(st.integers(0, len(text) - 1))
        text = text[:start] + text[start + data.draw(st.integers(1, 40)) :]
    path = tmp_path_factory.mktemp("fuzz") / "m.json"
    path.write_text(text)
    part = DATASETS["matbench-log_kvrh"].parts[0] if matbench else MEGNET
    crystals_or_messages((read_matbench if matbench else read_jarvis)(path, part, None))


def crystals_or_messages(records: Iterator[Record]) -> None:
    """Reads them all; any error but the one that is told to the user is a traceback."""
    try:
        for record in records:
            with suppress(ValueError):
                to_crystal(record)
    except DataError as error:
        assert "expected" in str(error)  # noqa: PT017


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_lists_of_json_are_read_in_pieces_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(texts, "CHUNK", chunk)
    entries = [12345, -1.5e-3, 'a"]\\', [], {}, None, True, {"a": [1, {"b": "Å"}]}, math.inf, "x" * 100]
    for indent in (None, 2):
        text = json.dumps(entries, indent=indent)
        assert list(json_elements(io.StringIO(text), tmp_path)) == entries
        table = json.dumps({"index": [0, 1], "columns": ["a"], "data": entries, "more": 1}, indent=indent)
        assert list(json_elements(io.StringIO(table), tmp_path, key="data")) == [
            {"index": [0, 1], "columns": ["a"]}, *entries,
        ]  # fmt: skip
    assert list(json_elements(io.StringIO("[]"), tmp_path)) == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1, 2", "[1 2]", "[1,, 2]", "[1] 2", "nonsense", "[" * 100_000, '[{"a": 1}, {"a": ', "[1,]"],
)
def test_broken_lists_of_json(text: str) -> None:
    with pytest.raises(DataError, match="expected a list of crystals in JSON"):
        list(json_elements(io.StringIO(text), Path("x.json")))


def test_an_object_without_the_entry() -> None:
    with pytest.raises(DataError, match=r"expected the entry 'data', got 'index' only"):
        list(json_elements(io.StringIO('{"index": []}'), Path("x.json"), key="data"))


def test_damaged_archives_and_texts(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "whole.zip", [{"id": "a"}] * 1000).read_bytes()
    cases = {
        "cut.zip": whole[: len(whole) // 2],
        "cut.gz": gzip.compress(os.urandom(5000))[:-2000],
        "flipped.gz": gzip.compress(b"[1, 2, 3]")[:-6] + b"\0" * 6,
        "latin.json": '["Å"]'.encode("latin-1"),
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with (
            pytest.raises(DataError, match=f"{name}: expected a whole file in UTF-8"),
            open_text(tmp_path / name) as text,
        ):
            text.read()
    import zipfile

    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.json", "[]")
        archive.writestr("b.json", "[]")
    with pytest.raises(DataError, match="expected one file inside, got 2"), open_text(tmp_path / "two.zip"):
        pass


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ([1], "expected an object"),
        ({"id": "a", "e_form": 1, "gap pbe": 2}, "expected the key 'atoms' or 'structure'"),
        ({"id": "a", "e_form": 1, "atoms": {}}, "expected the key 'gap pbe'"),
        (
            {"id": "a", "e_form": 1, "gap pbe": 0, "atoms": {"coords": []}},
            "atoms: expected the key 'lattice_mat'",
        ),
    ],
)
def test_other_lists(tmp_path: Path, entry: object, complaint: str) -> None:
    with pytest.raises(DataError, match=f"record 1: .*{complaint}"):
        list(read_jarvis(write_zip(tmp_path / "m.zip", [entry]), MEGNET, None))
