"""The machine loses its power while a search runs: the same command goes on, whatever the disk has kept."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from killing import end_all, start, wait_until
from suite_fixtures import SMALL_MODELS, small_space

from crystalformer.training.checkpoint import checkpoint_epoch
from suite.ledger import TrialLedger
from suite.leftovers import remove_leftovers
from suite.space.search_space import load_space
from suite.storage import open_storage
from suite.test_reads import log_test_read

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 60


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Where Ray keeps its sessions, with what a session of an earlier boot leaves: its address."""
    folder = Path(tempfile.mkdtemp(prefix="rb", dir="/tmp"))
    (folder / "ray").mkdir()
    for name in ("ray_current_cluster", "ray/ray_current_cluster"):
        (folder / name).write_text("127.0.0.1:1")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def lose_power(folder: Path) -> None:
    """Leave of everything that was being written what a disk may have kept of it."""
    run, data = folder / "runs/small", folder / "data"
    halve(run / "trials.parquet")
    (run / ".search.json.77.partial").write_text('{"name": "sm')
    (run / ".trials.parquet.77.partial").write_bytes(b"PAR1")
    finished, unfinished = run / "trials/t0000", run / "trials/t0001"
    (finished / "checkpoint.safetensors").write_bytes(bytes(1000))
    (unfinished / "checkpoint.safetensors.77.partial").write_bytes(bytes(1000))
    (unfinished / "checkpoint.asked").touch()
    (unfinished / "error.txt").write_bytes(bytes(10))
    with (unfinished / "curve.csv").open("ab") as curve:
        curve.write(bytes(50) + b"\n" + bytes(50))
    for events in (run / "tensorboard").rglob("events.*"):
        halve(events)
    half = run / "final/.cgcnn-small-log10_K_VRH-s0-00000000"
    half.mkdir(parents=True)
    (half / "run.json").touch()
    (data / ".small.tmp-x1").mkdir()
    (data / ".small.tmp-x1/lattices.npy").write_bytes(bytes(10))
    [store] = [path.parent for path in data.glob("*/manifest.json")]
    (store / "splits/.half.json.tmp-x2").write_text("{")
    for array in list((store / "cache").rglob("*.npy"))[:1]:
        halve(array)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_same_command_goes_on_after_a_power_failure(
    tmp_path: Path, search_command: Callable[..., list[str]], ray_folder: Path
) -> None:
    budget, search = {"trials": 3, "epochs": EPOCHS}, {"scheduler": "none", "concurrent": 1}
    small_space(
        tmp_path,
        models={"cgcnn": SMALL_MODELS["cgcnn"]},
        budget=budget,
        search=search,
        final={"seeds": [0], "floors": False},
    )
    command, log, run = search_command(tmp_path), tmp_path / "log.txt", tmp_path / "runs/small"
    first = start(command, log, RAY_TMPDIR=str(ray_folder))
    wait_until(lambda: checkpoint_epoch(run / "trials/t0001/checkpoint.safetensors") > 5, first, log)
    end_all(first)
    curve = pd.read_csv(run / "trials/t0001/curve.csv")
    lose_power(tmp_path)

    again = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "RAY_TMPDIR": str(ray_folder)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert again.returncode == 0, again.stdout + again.stderr
    trials = pd.read_parquet(run / "trials.parquet")
    assert trials["state"].tolist() == ["complete"] * 3
    assert trials["epochs"].tolist() == [EPOCHS] * 3
    assert "t0000" not in again.stdout  # it was done
    after = pd.read_csv(run / "trials/t0001/curve.csv")
    assert after["epoch"].tolist() == list(range(1, EPOCHS + 1))
    pd.testing.assert_series_equal(after["val_mae"][: len(curve)], curve["val_mae"], check_exact=True)
    assert json.loads((run / "search.json").read_text())["status"] == "finished"
    left = [path.name for path in tmp_path.rglob("*") if ".partial" in path.name or ".tmp-" in path.name]
    # Beside the splits, some bytes; beside the data, what the next conversion removes.
    assert sorted(left) == [".half.json.tmp-x2", ".small.tmp-x1"]
    assert not list(run.glob("trials/*/checkpoint*"))


def test_a_journal_goes_on_after_the_line_in_which_it_broke_off(tmp_path: Path) -> None:
    def ledger() -> TrialLedger:
        space = load_space(small_space(tmp_path))
        return TrialLedger(open_storage("journal:///study.log", tmp_path), "study", space)

    given = [ledger().next() for _ in range(1)]
    whole = (tmp_path / "study.log").read_bytes()
    later = ledger()
    later.finish(0, "complete", "trained", {"epochs": 4, "val_mae": 0.5})
    written = (tmp_path / "study.log").read_bytes()
    for kept in (len(whole) + 1, len(written) - 1):
        (tmp_path / "study.log").write_bytes(written[:kept])
        assert [trial.assignment for trial in ledger().trials()] == given
        ledger().finish(0, "complete", "trained", {"epochs": 4, "val_mae": 0.5})
        assert [trial.state for trial in ledger().trials()] == ["complete"]


def test_another_file_without_an_end_of_line_is_left_as_it_is(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("first\nno study")
    with pytest.raises(ValueError, match="expected an Optuna study database"):
        open_storage("journal:///note.txt", tmp_path)
    assert note.read_text() == "first\nno study"


def test_states_of_trials_that_are_over_go_and_those_of_others_stay(tmp_path: Path) -> None:
    for trial in ("t0000", "t0001"):
        (tmp_path / "trials" / trial).mkdir(parents=True)
        (tmp_path / "trials" / trial / "checkpoint.safetensors").touch()
        (tmp_path / "trials" / trial / ".holder").touch()
    (tmp_path / "search.json").touch()
    (tmp_path / ".search.json.7.partial").touch()
    remove_leftovers(tmp_path, {"t0000"})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "search.json",
        "trials/t0001/.holder",
        "trials/t0001/checkpoint.safetensors",
    ]


def test_a_line_of_the_log_of_test_reads_that_broke_off_stands_for_no_read(tmp_path: Path) -> None:
    log_test_read(tmp_path, "a")
    log = tmp_path / "test_reads.jsonl"
    with log.open("a") as file:
        file.write('{"read_at": "20')
    log_test_read(tmp_path, "b")
    assert [json.loads(line)["split_hash"] for line in log.read_text().splitlines()] == ["a", "b"]
