"""`prepare`: a name or path becomes a store, once, whoever asks and however often."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from crystalformer.data.array_store import StoreError
from crystalformer.data.catalog import DATASETS
from crystalformer.sources import parallel
from crystalformer.sources.convert import allowed_count, convert, prepare
from crystalformer.sources.records import DataError

ROOT = Path(parallel.__file__).resolve().parents[2]


def entry(id_: str, energy: float = 0.0, **changes: object) -> dict[str, object]:
    return {
        "id": id_,
        "species": [55, 17],
        "lattice": [[4.12, 0, 0], [0, 4.12, 0], [0, 0, 4.12]],
        "frac": [[0, 0, 0], [0.5, 0.5, 0.5]],
        "targets": {"energy": energy},
    } | changes


def write_lines(path: Path, *entries: dict[str, object]) -> Path:
    path.write_text("\n".join(map(json.dumps, entries)))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "my salts.jsonl", entry("a", 1.5), entry("b", 2.5))


def stores(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("*/manifest.json"))


def test_a_bundled_set_by_name(tmp_path: Path) -> None:
    store = prepare("mp-elastic-2015", tmp_path)
    assert len(store) == 1181
    assert set(store.units.values()) == {"log10(GPa)"}
    source = store.manifest["source"]
    assert source["license"] == "CC BY 4.0"
    assert source["sha256"] == DATASETS["mp-elastic-2015"].bundle.sha256
    assert prepare("mp-elastic-2015", tmp_path).path == store.path
    assert stores(tmp_path) == [store.path.name]


def test_a_table_by_path(tmp_path: Path, table: Path) -> None:
    store = prepare(table, tmp_path / "data")
    assert store.name == "my-salts"
    assert store.ids == ("a", "b")
    assert store.units == {"energy": None}
    assert store.targets["energy"].tolist() == [1.5, 2.5]
    assert prepare(str(table), tmp_path / "data").path == store.path
    assert str(tmp_path) not in (store.path / "manifest.json").read_text()


def test_an_unchanged_source_is_not_read_again(tmp_path: Path, table: Path, monkeypatch) -> None:
    store = prepare(table, tmp_path / "data")
    with monkeypatch.context() as patch:
        patch.setattr(parallel, "convert", lambda *record: pytest.fail("read again"))
        assert prepare(table, tmp_path / "data").path == store.path
    write_lines(table, entry("a", 1.5), entry("b", 9.5))
    changed = prepare(table, tmp_path / "data")
    assert changed.path != store.path
    assert changed.targets["energy"].tolist() == [1.5, 9.5]
    assert len(stores(tmp_path / "data")) == 2


def test_a_changed_structure_file_is_read_again(tmp_path: Path) -> None:
    poscar = "salt\n{}\n1 0 0\n0 1 0\n0 0 1\nCs Cl\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n"
    (tmp_path / "a.vasp").write_text(poscar.format(4.12))
    (tmp_path / "t.csv").write_text("id,file,y\na,a.vasp,1\n")
    assert prepare(tmp_path / "t.csv", tmp_path / "data").lattices[0, 0, 0] == pytest.approx(4.12)
    (tmp_path / "a.vasp").write_text(poscar.format(4.5))
    assert prepare(tmp_path / "t.csv", tmp_path / "data").lattices[0, 0, 0] == pytest.approx(4.5)


def test_a_damaged_store_is_reported_and_a_deleted_one_rebuilt(tmp_path: Path, table: Path) -> None:
    root = tmp_path / "data"
    store = prepare(table, root)
    (store.path / "numbers.npy").unlink()
    with pytest.raises(StoreError, match=r"numbers.npy.*delete the folder .* and run again"):
        prepare(table, root)
    shutil.rmtree(store.path)
    assert prepare(table, root).digest == store.digest


def test_unreadable_crystals(tmp_path: Path, table: Path) -> None:
    root = tmp_path / "data"
    flat = [[4, 0, 0], [8, 0, 0], [0, 0, 4]]
    write_lines(table, *(entry(f"bad-{i}", lattice=flat) for i in range(4)), entry("good"))
    with pytest.raises(
        DataError, match=r"at most 0 unreadable crystals \(max_rejected\), got 4 of 5"
    ) as caught:
        prepare(table, root)
    assert "bad-0: line 1: crystal 'bad-0': lattice: expected three cell vectors" in str(caught.value)
    assert "bad-2" in str(caught.value)
    assert "bad-3" not in str(caught.value)
    assert "and 1 more" in str(caught.value)
    (report,) = root.glob("*.rejected.csv")
    assert str(report) in str(caught.value)
    rows = list(csv.DictReader(report.open()))
    assert [(row["line"], row["id"]) for row in rows] == [(f"line {i + 1}", f"bad-{i}") for i in range(4)]
    assert all("three cell vectors that span a volume" in row["reason"] for row in rows)
    for allowed in (4, 0.8):
        conversion = convert(table, root, max_rejected=allowed)
        assert conversion.store.ids == ("good",)
        assert conversion.rejected_rows == 4
        assert conversion.rejections[3].id == "bad-3"
        assert conversion.report == report
    with pytest.raises(DataError, match="got 4 of 5"):  # the store is there, but this caller allows fewer
        prepare(table, root, max_rejected=3)
    write_lines(table, entry("bad", lattice=flat))
    with pytest.raises(DataError, match="expected at least one readable crystal, got none of 1"):
        prepare(table, root, max_rejected=10)


def test_a_corrected_source_has_no_rejected_crystals(tmp_path: Path, table: Path) -> None:
    """The crystals left are those of the store that the faulty source made; its rejections are not theirs."""
    root = tmp_path / "data"
    write_lines(table, entry("a"), entry("bad", species=[55, 0]))
    first = prepare(table, root, max_rejected=1)
    write_lines(table, entry("a"))
    assert prepare(table, root).path == prepare(table, root).path == first.path


def test_a_prepared_root_can_be_read_only(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prepare(table, tmp_path / "data")
    with monkeypatch.context() as patch:
        patch.setattr(
            "crystalformer.sources.convert.folder_lock",
            lambda folder: pytest.fail("a lock file would be written"),
        )
        assert prepare(table, tmp_path / "data").path == store.path


def test_allowed_count() -> None:
    assert [allowed_count(value, 200) for value in (0, 7, 0.0, 0.05)] == [0, 7, 0, 10]
    for wrong in (-1, 1.0, -0.1, True, float("nan"), "3"):
        with pytest.raises(ValueError, match="max_rejected: expected a count of crystals or a share"):
            allowed_count(wrong, 200)  # type: ignore[arg-type]


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected one of mp-elastic-2015, .* did you mean mp-elastic-2015"):
        prepare("mp-elastc-2015", tmp_path)
    with pytest.raises(DataError, match=r"no\.csv: expected a file or folder, got nothing of that name"):
        prepare("no.csv", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_four_processes_build_once(tmp_path: Path) -> None:
    table = write_lines(tmp_path / "t.jsonl", *(entry(f"c{i}", float(i)) for i in range(20)))
    script = """
import sys, time
from crystalformer.data.splits import fractions, save_split
from crystalformer.sources import parallel
from crystalformer.sources.convert import prepare
read = parallel.convert
def slow(record, cell):
    time.sleep(0.01)
    print("read", record.id)
    return read(record, cell)
parallel.convert = slow
store = prepare(sys.argv[1], sys.argv[2])
print("hash", save_split(store, fractions(store.ids, 0.5, 0.2, 0.2, seed=int(sys.argv[3]))))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(table), str(tmp_path / "data"), str(seed)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    lines = [line for process in processes for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert sorted(line for line in lines if line.startswith("read")) == sorted(
        f"read c{i}" for i in range(20)
    )
    keys = {line.split()[1] for line in lines if line.startswith("hash")}
    store = prepare(table, tmp_path / "data")
    assert len(keys) == 4
    assert set(store.manifest["splits"]) == keys
    assert stores(tmp_path / "data") == [store.path.name]
