"""What a report refuses, how it says so, and that the old report survives."""

import json
from pathlib import Path

import pandas as pd
import pytest
from final_folders import edit_json, final_folders
from run_folders import RunFolderMaker

from reports import build as build_module
from reports.__main__ import main
from reports.load import load
from reports.run_folder import ReportError


def message_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on standard error of a call that ends with exit code 2."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.strip()


def test_a_changed_prediction_is_refused_with_both_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolderMaker().write(tmp_path / "run")
    folder = next(iter(final_folders(run, "cgcnn")))
    path = folder / "predictions.parquet"
    table = pd.read_parquet(path)
    test = table.index[table["split"] == "test"]
    table.loc[test[0], "y_pred"] = table.loc[test[0], "y_true"] + 1.0
    table.to_parquet(path)
    stated = json.loads((folder / "run.json").read_text())["metrics"]["test"]["mae"]
    mine = table.loc[test]
    found = (mine["y_true"] - mine["y_pred"]).abs().mean()
    message = message_of(capsys, run)
    assert folder.name in message
    assert f"test MAE: run.json says {stated!r}" in message
    assert repr(float(found))[:12] in message
    assert not (run / "report").exists()


def test_a_change_beyond_the_tolerance_only(tmp_path: Path) -> None:
    run = RunFolderMaker().write(tmp_path / "run")
    path = next(iter(final_folders(run, "cgcnn"))) / "run.json"
    metrics = json.loads(path.read_text())["metrics"]
    for change, accepted in ((1e-11, True), (1e-8, False)):
        edit_json(path, metrics=metrics | {"val": metrics["val"] | {"mae": metrics["val"]["mae"] + change}})
        if accepted:
            load([run])
        else:
            with pytest.raises(ReportError, match="val MAE"):
                load([run])


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda table: table.assign(y_pred=float("nan")), "expected finite values"),
        (lambda table: pd.concat([table, table.tail(1)]), "more than once"),
        (lambda table: table.assign(split="train"), "expected val or test, got train"),
        (lambda table: table[table["split"] == "val"], "lacks test predictions"),
        (lambda table: table[table["split"] == "test"], "no validation predictions"),
        (lambda table: table.drop(columns="y_true"), "missing y_true"),
        (lambda table: table.assign(**(table[["y_true", "y_pred"]] + 1)), "y_true of log10_K_VRH differs"),
    ],
)
def test_unfit_predictions_are_refused(tmp_path: Path, spoil, expected: str) -> None:  # type: ignore[no-untyped-def]
    run = RunFolderMaker(errors={"cgcnn": 0.1}, seeds=(0, 1)).write(tmp_path / "run")
    path = next(iter(final_folders(run, "cgcnn"))) / "predictions.parquet"
    spoil(pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(ReportError, match=expected):
        load([run])


def test_missing_and_foreign_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such folder" in message_of(capsys, tmp_path / "nowhere")
    assert "it has no search.json" in message_of(capsys, tmp_path)


def test_unreadable_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolderMaker().write(tmp_path / "run")
    final = f"final/{next(iter(final_folders(run, 'cgcnn'))).name}"
    files = ["search.json", "trials.parquet"]
    files += [f"{final}/{name}" for name in ("run.json", "predictions.parquet", "curve.csv")]
    for name in files:
        before = (run / name).read_bytes()
        (run / name).write_bytes(b"")
        assert name in message_of(capsys, run)
        (run / name).write_bytes(before)
    search = json.loads((run / "search.json").read_text())
    (run / "search.json").write_text(json.dumps({key: search[key] for key in search if key != "models"}))
    assert message_of(capsys, run).endswith("search.json: missing models")


@pytest.mark.parametrize(("field", "word"), [("digest", "digest"), ("split_hash", "split")])
def test_errors_on_different_crystals_are_not_mixed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, word: str
) -> None:
    first = RunFolderMaker(name="first").write(tmp_path / "first")
    second = RunFolderMaker(name="second", **{field: "ee" * 32}).write(tmp_path / "second")  # type: ignore[arg-type]
    message = message_of(capsys, first, second, "--out", tmp_path / "out")
    assert f"{word} of mp-elastic-2015" in message
    assert "report them separately" in message
    assert not (tmp_path / "out").exists()


def test_a_final_run_of_another_data_set_is_refused(tmp_path: Path) -> None:
    run = RunFolderMaker().write(tmp_path / "run")
    edit_json(next(iter(final_folders(run, "cgcnn"))) / "run.json", dataset_digest="other")
    with pytest.raises(ReportError, match="digest of mp-elastic-2015"):
        load([run])


def test_two_final_runs_of_one_seed_are_refused(tmp_path: Path) -> None:
    run = RunFolderMaker().write(tmp_path / "run")
    edit_json(list(final_folders(run, "cgcnn"))[1] / "run.json", seed=0)
    with pytest.raises(ReportError, match="seed 0, rank 1: expected one final run, got"):
        load([run])


def test_the_same_folder_twice_is_refused(tmp_path: Path) -> None:
    run = RunFolderMaker().write(tmp_path / "run", finals=False)
    with pytest.raises(ReportError, match="more than once"):
        load([run, run / ".." / "run"])


def test_several_runs_need_a_place_for_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--out: expected a folder" in message_of(capsys, tmp_path / "a", tmp_path / "b")


def test_a_folder_that_is_no_report_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolderMaker().write(tmp_path / "run", finals=False)
    precious = tmp_path / "thesis" / "chapter.tex"
    precious.parent.mkdir()
    precious.write_text("words")
    assert "not a report's" in message_of(capsys, run, "--out", precious.parent)
    assert "is a file" in message_of(capsys, run, "--out", precious)
    assert precious.read_text() == "words"
    assert "not a report's" in message_of(capsys, run, "--out", run)


def test_old_report_survives_a_failing_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolderMaker(trials=4).write(tmp_path / "run", finals=False)
    assert main([str(run)]) == 0
    (run / "report" / "mine.txt").write_text("a reader's own note")
    before = {path: path.read_bytes() for path in (run / "report").rglob("*") if path.is_file()}

    def fail(*_: object) -> str:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(build_module, "page", fail)
        assert main([str(run)]) == 1
    assert "could not be written: no space left on device" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (run / "report").rglob("*") if path.is_file()} == before
    edit_json(run / "search.json", name="renamed")
    assert main([str(run)]) == 0
    assert "renamed" in (run / "report" / "index.html").read_text(encoding="utf-8")
    assert (run / "report" / "mine.txt").read_text() == "a reader's own note"
    assert sorted(path.name for path in run.iterdir() if path.name.startswith(".")) == []


def test_wrong_arguments_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "RUN" in capsys.readouterr().err
