"""`python -m suite.predict`: what is written, what is said, and the exit code."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from crystal_files import CSCL, EXTXYZ, LINE, POSCAR
from trained_run import TARGET

import suite
from suite.predict import main, parser
from suite.prediction.output import COLUMNS
from suite.prediction.predictor import Predictor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """CsCl in every form, and files with something wrong."""
    (tmp_path / "cscl.cif").write_text(CSCL)
    (tmp_path / "POSCAR").write_text(POSCAR)
    (tmp_path / "cscl.jsonl").write_text(
        "".join(json.dumps({"id": f"c{i}", **LINE}) + "\n" for i in range(3))
    )
    rows = StringIO()
    writer = csv.writer(rows)
    writer.writerows([["id", "cif"], ["a", CSCL], ["b", "data_nothing"]])
    (tmp_path / "table.csv").write_text(rows.getvalue())
    (tmp_path / "no_structures.csv").write_text("id,gap\na,1.0\n")
    (tmp_path / "broken.cif").write_text("loop_ of nothing")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.cif").write_text(CSCL)
    (tmp_path / "folder" / "two.vasp").write_text(POSCAR)
    return tmp_path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_form_of_a_crystal_gives_the_same_row(run: Path, folder: Path) -> None:
    names = ["cscl.cif", "POSCAR", "cscl.jsonl", "folder"]
    out = folder / "out.csv"
    files = [str(folder / name) for name in names]
    assert main([str(run), *files, "--model", "crystalformer", "--csv", str(out)]) == 0
    rows = rows_of(out)
    assert list(rows[0]) == list(COLUMNS)
    assert [Path(row["file"]).name for row in rows] == [
        "cscl.cif", "POSCAR", "cscl.jsonl", "cscl.jsonl", "cscl.jsonl", "one.cif", "two.vasp",
    ]  # fmt: skip
    assert [row["id"] for row in rows] == ["cscl", "POSCAR", "c0", "c1", "c2", "one", "two"]
    [expected] = suite.load(run, "crystalformer").predict(LINE)
    for row in rows:
        assert float(row["value"]) == pytest.approx(expected.value, abs=1e-5)
        assert float(row["uncertainty"]) == pytest.approx(expected.uncertainty, rel=1e-3)
        assert (row["target"], row["unit"], row["model"]) == (TARGET, "log10(GPa)", "crystalformer")
        assert (row["warning"], row["error"]) == (expected.warning, "")


def test_extended_xyz(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ase")
    (tmp_path / "two.extxyz").write_text(EXTXYZ * 2)
    assert main([str(run), str(tmp_path / "two.extxyz"), "--csv", "-"]) == 0
    first, second = csv.DictReader(StringIO(capsys.readouterr().out))
    assert first["value"] == second["value"] != ""


def test_errors_are_rows_and_stop_nothing(run: Path, folder: Path) -> None:
    names = ["absent.cif", "broken.cif", "no_structures.csv", "empty", "table.csv", "cscl.cif"]
    out = folder / "out.csv"
    assert main([str(run), *(str(folder / name) for name in names), "-", "--csv", str(out)]) == 1
    rows = rows_of(out)
    errors = {row["id"] or Path(row["file"]).name: row["error"] for row in rows}
    assert "expected the file absent.cif, got none" in errors["absent"]
    assert errors["broken"].startswith("broken.cif: expected a structure")
    assert "structure" in errors["no_structures.csv"]
    assert "expected" in errors["empty"]
    assert errors["-"].startswith("-: expected the name of a file")
    assert (errors["a"], errors["cscl"]) == ("", "")
    assert "expected a structure" in errors["b"]
    assert all((row["value"] == "") == bool(row["error"]) for row in rows)
    assert all("\n" not in row["error"] for row in rows)


def test_without_csv_it_is_text(run: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), str(folder / "cscl.cif"), str(folder / "broken.cif")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{folder / 'cscl.cif'}  {TARGET}  ")
    assert " ± " in lines[0]
    assert lines[0].endswith(" log10(GPa)")
    assert lines[-1].startswith(f"{folder / 'broken.cif'}  error: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "expected a model"),
        (["{run}"], "and files"),
        (["absent", "{cif}"], "absent: expected a run"),
        (["{cif}", "{cif}"], "got a file"),
        (["{run}", "{cif}", "--model", "forest"], "expected one of alignn, "),
        (["{run}", "{cif}", "--csv", "{folder}/no/out.csv"], "expected a file in a folder that exists"),
        (["{run}", "{cif}", "--csv", "{folder}"], "expected a file"),
    ],
)
def test_wrong_input_is_one_line(
    run: Path, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    given = [part.format(run=run, cif=folder / "cscl.cif", folder=folder) for part in arguments]
    assert main(given) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_an_unfinished_run_says_how_to_finish_it(
    run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = folder / "run"
    unfinished.mkdir()
    record = json.loads((run / "search.json").read_text()) | {"status": "interrupted"}
    (unfinished / "search.json").write_text(json.dumps(record))
    assert main([str(unfinished), str(folder / "cscl.cif")]) == 2
    assert "got none (the search is interrupted); finish it with: python -m suite.search" in (
        capsys.readouterr().err
    )


def test_interruption_is_quiet_and_keeps_the_rows(
    run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = Predictor.answer
    calls: list[int] = []

    def interrupted(self: Predictor, items: list) -> list:
        calls.append(len(items))
        if len(calls) > 1:
            raise KeyboardInterrupt
        return answer(self, items)

    monkeypatch.setattr(Predictor, "answer", interrupted)
    (folder / "many.jsonl").write_text(
        "".join(json.dumps({"id": f"c{i}", **LINE}) + "\n" for i in range(100))
    )
    out = folder / "out.csv"
    assert main([str(run), str(folder / "many.jsonl"), "--model", "schnet", "--csv", str(out)]) == 130
    assert capsys.readouterr().err == ""
    assert len(rows_of(out)) == calls[0] == 64


def test_interruption_while_the_model_is_compiled_is_quiet(folder: Path) -> None:
    out = folder / "out.csv"
    command = [
        sys.executable,
        "-m",
        "suite.predict",
        "mp-moduli",
        str(folder / "cscl.cif"),
        "--csv",
        str(out),
    ]
    empty = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache")}
    process = subprocess.Popen(command, cwd=ROOT, env=empty, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(2400):  # the folder of the kernel's code, which is made just before
        if out.exists() and out.stat().st_size and list((folder / "cache").glob("kernels-*")):
            break
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    said, complaints = process.communicate(timeout=120)
    assert (process.returncode, said, complaints) == (130, b"", b"")
    assert rows_of(out) == []


def test_a_reader_that_leaves_is_no_error(run: Path, folder: Path) -> None:
    (folder / "many.jsonl").write_text(
        "".join(json.dumps({"id": f"c{i}", **LINE}) + "\n" for i in range(200))
    )
    command = (
        f"{sys.executable} -m suite.predict '{run}' {folder}/many.jsonl --model schnet --csv - | head -1"
    )
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("file,id,target,")
    assert done.stderr == ""


def test_the_models_of_the_package_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "mp-moduli  log10_K_VRH  test MAE 0.0294 log10(GPa)  (crystalformer)" in capsys.readouterr().out


def test_the_help_fits_a_screen_and_has_examples() -> None:
    text = parser().format_help()
    assert len(text.splitlines()) <= 40
    assert "python -m suite.predict mp-moduli" in text
