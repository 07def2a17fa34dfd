"""A whole search as its user runs it: what it leaves, what it says, and that killing it loses nothing."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from crystalformer.training.config import TrainConfig
from reports.publish import main as publish
from reports.readme import BEGIN, END
from reports.tables import differences
from reports.tables import main as tables
from reports.trace import main as trace
from suite.registry import MODELS
from suite.registry_table import parameter_count

ROOT = Path(__file__).resolve().parents[2]
CSV_COLUMNS = (
    "model,dataset,target,unit,split,mae,sd,n_seeds,run_ids,params,train_s_per_epoch,"
    "predict_ms_per_crystal,kind,source,mae_low,mae_high,rmse,r2,mad,mae_deduplicated,"
    "crystals,absent,peak_memory_mb,trials,epochs,search_hours,p_holm,experiment"
)


def run_folder(folder: Path) -> Path:
    return folder / "runs" / "small"


def trials_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(run_folder(folder) / "trials.parquet")


def final_records(folder: Path, floors: bool = False) -> dict[str, dict]:
    """The records of the final runs of models, or those of the floors."""
    paths = sorted((run_folder(folder) / "final").glob("*/run.json"))
    records = {path.parent.name: json.loads(path.read_text()) for path in paths}
    return {name: record for name, record in records.items() if bool(record.get("floor")) == floors}


def test_the_folder_holds_what_it_should(finished: Path) -> None:
    run = run_folder(finished)
    for name in (
        "space.yaml",
        "search.json",
        "trials.parquet",
        "crystals.parquet",
        "study.db",
        "tensorboard",
    ):
        assert (run / name).exists(), name
    for name in ("index.html", "mae_table.md", "mae_table.csv", "mae_table.tex"):
        assert (run / "report" / name).stat().st_size > 0, name
    assert list((run / "report" / "figures").glob("*.png"))
    assert len(final_records(finished)) == 4
    common = {"run.json", "curve.csv", "predictions.parquet", "test_reads.jsonl"}
    for name in final_records(finished):
        files = {path.name for path in (run / "final" / name).iterdir()}
        assert files == common | {"model.safetensors", "parity.png", "elements.png"}
    for name in final_records(finished, floors=True):
        assert {path.name for path in (run / "final" / name).iterdir()} == common
    assert not list(run.rglob("*.partial*"))
    assert not list(run.rglob("checkpoint*"))


def test_every_trial_is_there_once_with_its_end(finished: Path) -> None:
    trials = trials_of(finished)
    assert trials["trial_id"].tolist() == [f"t{n:04d}" for n in range(6)]
    assert trials["model"].tolist() == ["crystalformer", "cgcnn"] * 3
    assert set(trials["state"]) <= {"complete", "stopped"}
    assert (trials["epochs"][trials["state"] == "complete"] == 4).all()
    assert (trials["epochs"][trials["state"] == "stopped"] < 4).all()
    assert np.isfinite(trials["val_mae"]).all()
    assert (trials["ended"] != "").all()
    assert (trials["recipe"] == "common").all()
    assert (trials["missing"] == 0).all()
    for row in trials.itertuples():
        config = json.loads(row.config)
        entry = MODELS[row.model]
        assert row.parameters == parameter_count(entry.build(entry.config(**config["model"])))
    assert not [name for name in trials.columns if "test" in name.lower()]


def test_every_curve_has_its_epochs(finished: Path) -> None:
    for row in trials_of(finished).itertuples():
        curve = pd.read_csv(run_folder(finished) / "trials" / row.trial_id / "curve.csv")
        assert curve["epoch"].tolist() == list(range(1, row.epochs + 1))
        assert curve["val_mae"].iloc[-1] == pytest.approx(row.val_mae)


def test_study_and_table_agree(finished: Path) -> None:
    storage = f"sqlite:///{run_folder(finished) / 'study.db'}"
    names = optuna.get_all_study_names(storage)
    assert len(names) == 1
    assert names[0] != "optuna"
    study = optuna.load_study(study_name=names[0], storage=storage)
    states = {"complete": "COMPLETE", "stopped": "PRUNED"}
    for trial, row in zip(study.trials, trials_of(finished).itertuples(), strict=True):
        assert trial.state.name == states[row.state]
        assert trial.intermediate_values[row.epochs] == row.val_mae
        assert sorted(trial.intermediate_values) == list(range(1, row.epochs + 1))


def test_every_measured_error_can_be_recomputed(finished: Path) -> None:
    table = pd.read_csv(run_folder(finished) / "report" / "mae_table.csv")
    assert ",".join(table.columns) == CSV_COLUMNS
    measured = table[table["kind"] == "measured"]
    assert sorted(zip(measured["model"], measured["split"], strict=True)) == [
        ("cgcnn", "test"), ("cgcnn", "val"), ("crystalformer", "test"), ("crystalformer", "val"),
    ]  # fmt: skip
    for row in measured.itertuples():
        errors = []
        for run_id in row.run_ids.split(" "):
            predictions = pd.read_parquet(run_folder(finished) / "final" / run_id / "predictions.parquet")
            part = predictions[predictions["split"] == row.split]
            errors.append((part["y_true"] - part["y_pred"]).abs().mean())
        assert row.mae == pytest.approx(np.mean(errors), rel=1e-12)
        assert row.sd == pytest.approx(np.std(errors, ddof=1), rel=1e-9)
        assert (row.n_seeds, row.unit) == (2, "log10(GPa)")


def test_every_measured_cell_is_traced_to_its_search(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in ("crystalformer", "cgcnn", "forest", "mean"):
        code = trace([str(run_folder(finished)), "--model", model, "--target", "log10_K_VRH"])
        printed = capsys.readouterr().out
        assert code == 0, printed
        assert "1 time: " in printed
        assert "\nagrees" in printed


def test_every_cell_of_every_table_is_computed_again(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace([str(run_folder(finished)), "--all"]) == 0
    printed = capsys.readouterr().out
    for table in ("mae_table.csv", "errors_by_group.csv", "worst_crystals.csv"):
        assert table in printed


def test_the_search_is_published_and_its_tables_are_rebuilt(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is committed is small, tells nothing of the machine, and gives the tables of the run again."""
    run, out = run_folder(finished), tmp_path / "results" / "small"
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.chdir(tmp_path)
    assert publish([str(run), "--out", "results/small", "--dirty", "--weights", "cgcnn"]) == 0
    texts = {run / "report" / path.name: path.read_text() for path in (out / "report").glob("*.csv")}
    assert run / "report" / "mae_table.csv" in texts
    assert not [line for line in differences(texts, out.parent) if ".csv" in line]
    assert sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) < 1_000_000
    assert len(list(out.rglob("model.safetensors"))) == 2
    for path in (*out.rglob("*.json"), *out.rglob("*.md"), out / "space.yaml"):
        assert str(finished) not in path.read_text()
        assert str(Path.home()) not in path.read_text()
    assert tables([]) == 0
    assert "[small](results/small/report/mae_table.md)" in (tmp_path / "README.md").read_text()
    assert "python -m suite.search --space results/small/space.yaml" in (tmp_path / "README.md").read_text()
    assert tables(["--check"]) == 0
    assert trace([str(out), "--all"]) == 0
    assert trace([str(out), "--model", "crystalformer", "--target", "log10_K_VRH"]) == 0
    assert "the weights of 0 of 2 runs are in the folder" in capsys.readouterr().out


def test_the_floors_stand_beside_the_models(finished: Path) -> None:
    floors = final_records(finished, floors=True)
    assert sorted((record["model"], record["seed"]) for record in floors.values()) == [
        ("forest", 0), ("forest", 1), ("mean", 0),
    ]  # fmt: skip
    table = pd.read_csv(run_folder(finished) / "report" / "mae_table.csv")
    rows = table[table["kind"] == "floor"]
    assert sorted(zip(rows["model"], rows["split"], strict=True)) == [
        ("forest", "test"), ("forest", "val"), ("mean", "test"), ("mean", "val"),
    ]  # fmt: skip
    hashes = {record["split_hash"] for record in (final_records(finished) | floors).values()}
    assert len(hashes) == 1
    assert "forest (floor)" in (finished / "output.txt").read_text()


def test_final_runs_start_from_the_best_trial_of_their_model(finished: Path) -> None:
    trials = trials_of(finished)
    for record in final_records(finished).values():
        usable = trials[(trials["model"] == record["model"]) & (trials["state"] == "complete")]
        best = usable.loc[usable["val_mae"].idxmin()]
        assert record["selected_from"] == {"trial_id": best["trial_id"], "val_mae": best["val_mae"]}
        trial_config = json.loads(best["config"])
        assert record["config"] == trial_config
        averaged = TrainConfig(**record["config"]["train"]).averaged_epochs > 0
        assert record["kept"] == ("averaged" if averaged else "raw")
        assert ("test_raw" in record["metrics"]) == averaged


def test_the_same_seed_gives_the_trials_error_again(finished: Path) -> None:
    """A final run with the search's seed and epochs is the trial once more."""
    for record in final_records(finished).values():
        if record["seed"] == 0:
            assert record["metrics"]["val"]["mae"] == pytest.approx(
                record["selected_from"]["val_mae"], rel=1e-5
            )


def test_predictions_are_those_of_the_saved_weights(finished: Path) -> None:
    for run_id, record in final_records(finished).items():
        weights = load_file(run_folder(finished) / "final" / run_id / "model.safetensors")
        entry = MODELS[record["model"]]
        model = entry.build(entry.config(**record["config"]["model"]))
        assert {k: tuple(v.shape) for k, v in model.state_dict().items()} == {
            k: v.shape for k, v in weights.items()
        }


def test_splits_are_disjoint_and_the_test_split_is_only_in_final_runs(finished: Path) -> None:
    search = json.loads((run_folder(finished) / "search.json").read_text())
    assert search["status"] == "finished"
    split_hash = search["dataset"]["split"]["log10_K_VRH"]["hash"]
    store = next(path for path in (finished / "data").iterdir() if (path / "manifest.json").exists())
    lists = json.loads((store / "splits" / f"{split_hash[:12]}.json").read_text())
    for run_id in final_records(finished):
        predictions = pd.read_parquet(run_folder(finished) / "final" / run_id / "predictions.parquet")
        by_split = {part: set(frame["id"]) for part, frame in predictions.groupby("split")}
        assert by_split["test"].isdisjoint(by_split["val"])
        assert by_split == {part: set(lists[part]) for part in ("val", "test")}


def test_the_output_tells_table_report_and_tensorboard(finished: Path) -> None:
    output = (finished / "output.txt").read_text()
    assert "note: cgcnn: published lr 0.01 is outside the searched range" in output
    assert "Mean absolute error of log10_K_VRH in log10(GPa)" in output
    assert str(run_folder(finished) / "report" / "index.html") in output
    assert f"tensorboard --logdir {run_folder(finished) / 'tensorboard'}" in output
    assert "\x1b" not in output


def test_a_finished_search_rebuilds_its_report_and_runs_nothing(
    finished: Path, tmp_path: Path, search_command: Callable[..., list[str]]
) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    page = run_folder(tmp_path) / "report" / "index.html"
    page.write_text("old")
    done = subprocess.run(search_command(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "CGCNN" in page.read_text()
    assert "started" not in done.stdout
    pd.testing.assert_frame_equal(trials_of(tmp_path), trials_of(finished))


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen, seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the search ended too early"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def test_a_killed_search_goes_on_where_it_was(
    finished: Path, tmp_path: Path, search_command: Callable[..., list[str]]
) -> None:
    """Killed early, interrupted later."""
    command = search_command(tmp_path)
    curves = run_folder(tmp_path) / "trials"

    def epochs() -> int:
        return sum(len(path.read_text().splitlines()) - 1 for path in curves.glob("*/curve.csv"))

    for signal_number, more, code in ((signal.SIGKILL, 4, -signal.SIGKILL), (signal.SIGINT, 3, 130)):
        enough = epochs() + more
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        _wait_for(lambda enough=enough: epochs() >= enough, process)  # type: ignore[misc]
        os.kill(process.pid, signal_number)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == code, output
    assert json.loads((run_folder(tmp_path) / "search.json").read_text())["status"] == "interrupted"

    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stdout + again.stderr
    trials = trials_of(tmp_path)
    assert trials["trial_id"].tolist() == [f"t{n:04d}" for n in range(6)]
    assert set(trials["state"]) <= {"complete", "stopped"}
    assert len(final_records(tmp_path)) == 4
    # Each epoch once, in each curve: nothing was lost and nothing ran twice.
    for row in trials.itertuples():
        curve = pd.read_csv(curves / row.trial_id / "curve.csv")
        assert curve["epoch"].tolist() == list(range(1, row.epochs + 1))
        events = EventAccumulator(
            str(run_folder(tmp_path) / f"tensorboard/{row.trial_id}-{row.model}")
        ).Reload()
        assert [event.step for event in events.Tensors("val_mae")] == curve["epoch"].tolist()
    # The published configurations do not depend on the sampler: same numbers as undisturbed.
    undisturbed = trials_of(finished)
    for number in range(2):
        whole, resumed = undisturbed.iloc[number], trials.iloc[number]
        if whole["epochs"] == resumed["epochs"]:
            assert resumed["val_mae"] == whole["val_mae"]
