"""Every measured cell leads back to its runs and is computed again; whatever was changed is found."""

import json
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest
from final_folders import edit_json, final_folders
from run_folders import UNIT, RunFolderMaker

from reports import published
from reports.cell import select
from reports.chain import recomputed
from reports.check import Check
from reports.load import load
from reports.mae_table import build as build_table
from reports.render import csv_text
from reports.run_folder import read_run_folder
from reports.trace import main

ROOT = Path(__file__).resolve().parents[2]
TARGET = "log10_K_VRH"
MODELS = {"crystalformer": 0.07, "cgcnn": 0.09, "schnet": 0.08}
FLOORS = {"mean": 0.3, "forest": 0.15}


def maker() -> RunFolderMaker:
    return RunFolderMaker(errors=MODELS, floors=FLOORS, targets={TARGET: UNIT, "hardness": None}, ranks=2)


def write_table(folder: Path) -> None:
    """The one file of a report that a trace reads."""
    (folder / "report").mkdir()
    table = build_table(load([folder]), published.load())
    (folder / "report" / "mae_table.csv").write_text(csv_text(table), encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = maker().write(tmp_path_factory.mktemp("traced") / "run")
    write_table(folder)
    return folder


def traced(folder: Path, model: str = "cgcnn", target: str = TARGET, *more: str) -> int:
    return main([str(folder), "--model", model, "--target", target, *more])


def test_every_measured_cell_is_traced_and_recomputed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = build_table(load([run]), published.load()).frame
    cells = frame[frame["kind"] != "published"]
    assert len(cells) == (len(MODELS) + len(FLOORS)) * 2 * 2
    folder = read_run_folder(run)
    for row in cells.itertuples():
        found = select(folder, row.model, row.target)
        assert [final.record["run_id"] for final in found.finals] == row.run_ids.split()
        mean, deviation, seeds = recomputed(found, row.split)
        assert mean == pytest.approx(row.mae, rel=1e-12)
        assert deviation == pytest.approx(row.sd, rel=1e-9, nan_ok=True)
        assert seeds == row.n_seeds
        assert traced(run, row.model, row.target) == 0
        assert "\nagrees" in capsys.readouterr().out


def test_the_chain_names_every_link(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert traced(run) == 0
    printed = capsys.readouterr().out
    links = [
        "CGCNN, log10_K_VRH on mp-elastic-2015", "final/cgcnn-mp-elastic-2015-log10_K_VRH-s2-0001",
        "predictions.parquet: 40 val, 50 test", "train: epochs=6, seed=0",
        "quickstart-log10_K_VRH-t0001: complete after 6 epochs", "lowest val MAE of", "digest " + "ab" * 32,
        "digest " + "d1" * 32, "split " + "5a" * 32 + ": 400 train, 40 val, 50 test",
        "commit 0123456789abcdef", "suite 0.1.0", "torch 2.13.0", "2025-06-01T10:07:00+00:00",
    ]  # fmt: skip
    assert [link for link in links if link not in printed] == []
    assert UNIT in printed


def test_one_seed_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert traced(run, "cgcnn", TARGET, "--seed", "1") == 0
    printed = capsys.readouterr().out
    assert "-s1-" in printed
    assert "-s0-" not in printed
    assert traced(run, "cgcnn", TARGET, "--seed", "7") == 2
    assert "--seed: expected one of 0, 1, 2, got '7'" in capsys.readouterr().err


def test_wrong_input_ends_with_2_and_the_closest_name(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, said in (
        ((run, "cgcn", TARGET), "did you mean cgcnn?"),
        ((run, "cgcnn", "log10_K_VRg"), "did you mean log10_K_VRH?"),
        ((tmp_path / "nowhere", "cgcnn", TARGET), "no such folder"),
    ):
        assert traced(*arguments) == 2
        captured = capsys.readouterr()
        assert said in captured.err
        assert captured.out == ""
    bare = maker().write(tmp_path / "bare", finals=False)
    assert traced(bare) == 2
    assert "no complete final run" in capsys.readouterr().err


def change_predictions(folder: Path) -> None:
    table = pd.read_parquet(folder / "predictions.parquet")
    table.loc[table.index[table["split"] == "test"][0], "y_pred"] += 0.5
    table.to_parquet(folder / "predictions.parquet", index=False)


def mirror_predictions(folder: Path) -> None:
    """Every error changes its sign: MAE, RMSE and R² stay, only the digest tells."""
    before = sha256((folder / "predictions.parquet").read_bytes()).hexdigest()
    edit_json(folder / "run.json", predictions_sha256=before)
    table = pd.read_parquet(folder / "predictions.parquet")
    table["y_pred"] = 2 * table["y_true"] - table["y_pred"]
    table.to_parquet(folder / "predictions.parquet", index=False)


def change_metric(folder: Path, split: str, name: str) -> None:
    metrics = json.loads((folder / "run.json").read_text())["metrics"]
    edit_json(
        folder / "run.json", metrics=metrics | {split: metrics[split] | {name: metrics[split][name] * 0.99}}
    )


def shift_labels(folder: Path) -> None:
    table = pd.read_parquet(folder / "predictions.parquet")
    table[["y_true", "y_pred"]] += 0.25
    table.to_parquet(folder / "predictions.parquet", index=False)


def state(**changes: object) -> Callable[[Path], None]:
    """Changes what the record says."""
    return lambda folder: edit_json(folder / "run.json", **changes)


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (change_predictions, "seed 1, test mae, run.json: stated"),
        (mirror_predictions, "seed 1, SHA-256 of predictions.parquet: stated"),
        (lambda folder: change_metric(folder, "test", "mae"), "test MAE, mean of run.json: stated"),
        (lambda folder: change_metric(folder, "val", "rmse"), "seed 1, val rmse, run.json: stated"),
        (lambda folder: change_metric(folder, "test", "r2"), "seed 1, test r2, run.json: stated"),
        (shift_labels, "labels that differ from other seeds: stated 0, found 90"),
        (state(split_hash="00"), "hash of the split: stated '5a5a"),
        (state(dataset_digest="00"), "digest of the data: stated 'd1d1"),
        (state(unit="GPa"), "unit: stated 'log10(GPa)', found 'GPa'"),
        (state(config={"model": {"width": 1}}), "seed 1, configuration:"),
        (state(selected_from={"trial_id": "t", "val_mae": 1}), "trial"),
    ],
)  # fmt: skip
def test_what_was_changed_is_found_with_both_values(  # type: ignore[no-untyped-def]
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tamper, said: str
) -> None:
    run = RunFolderMaker().write(tmp_path / "run")
    assert traced(run) == 0
    tamper(final_folders(run, "cgcnn")[1])
    capsys.readouterr()
    assert traced(run) == 1
    printed = capsys.readouterr().out
    assert "DISAGREES" in printed
    assert said in printed.split("DISAGREES")[1]
    assert "\nagrees" not in printed
    assert traced(run, "crystalformer") == 0


def test_a_changed_trial_table_space_or_report_is_found(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = maker().write(tmp_path / "run")
    write_table(folder)
    table = pd.read_csv(folder / "report" / "mae_table.csv")
    mine = (table["model"] == "cgcnn") & (table["split"] == "test")
    table.loc[mine, "mae"] += 0.001
    table.to_csv(folder / "report" / "mae_table.csv", index=False)
    trials = pd.read_parquet(folder / "trials.parquet")
    trials.loc[trials["trial_id"] == maker().trial_id(TARGET, "cgcnn"), "val_mae"] *= 1.01
    trials.to_parquet(folder / "trials.parquet", index=False)
    edit_json(folder / "search.json", space={"seed": 1})
    assert traced(folder) == 1
    printed = capsys.readouterr().out.split("DISAGREES")[1]
    for said in (
        "mae_table.csv: cgcnn, log10_K_VRH, test, mae:",
        "val MAE of the trial",
        "digest of the search space",
    ):
        assert said in printed
    assert "log10_K_VRH, val, mae" not in printed


def test_every_logged_read_of_the_test_split_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolderMaker(seeds=(0,)).write(tmp_path / "run")
    (final,) = final_folders(run, "cgcnn")
    split, last = "5a" * 32, "2025-06-01T10:07:00+00:00"
    reads = [
        {"read_at": "2025-06-01T09:00:00+00:00", "split_hash": split},
        {"read_at": last, "split_hash": split},
    ]
    (final / "test_reads.jsonl").write_text("\n".join(json.dumps(read) for read in reads))
    assert traced(run) == 0
    assert f"seed 0: 2 times: 2025-06-01T09:00:00+00:00, {last}" in capsys.readouterr().out
    (final / "test_reads.jsonl").write_text(json.dumps(reads[0] | {"split_hash": "00"}))
    assert traced(run) == 1
    printed = capsys.readouterr().out
    assert "last read of the test split: stated '2025-06-01T10:07" in printed
    assert "split that was read" in printed


def test_comparison_allows_rounding_and_no_more() -> None:
    assert Check("", 0.1, 0.1 + 1e-12).agrees
    assert not Check("", 0.1, 0.1 + 1e-8).agrees
    assert Check("", float("nan"), float("nan")).agrees
    assert not Check("", float("nan"), 0.1).agrees
    assert not Check("", "a", None).agrees


def test_neither_torch_nor_ray_nor_pymatgen_nor_optuna_is_imported(run: Path) -> None:
    program = (
        "import sys; from reports.trace import main; code = main(sys.argv[1:]); "
        "print(sorted({'torch', 'ray', 'pymatgen', 'optuna'} & set(sys.modules))); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, str(run), "--model", "cgcnn", "--target", TARGET]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
