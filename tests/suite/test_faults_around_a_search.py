"""Faults around a search: it is asked to stop, and its disk fills up; neither costs what was done."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from suite_fixtures import small_space
from trial_tasks import task_of

from crystalformer.training.checkpoint import checkpoint_epoch
from suite.broken import disk_fault
from suite.checkpoint_request import CheckpointRequest
from suite.trial import TrialRun

ROOT = Path(__file__).resolve().parents[2]
LONG = {
    "models": {"cgcnn": {"node_width": 8, "hidden_width": 16}},
    "budget": {"trials": 2, "epochs": 400},
    "search": {"scheduler": "none", "concurrent": 2},
    "final": {"seeds": [0], "epochs": 2, "floors": False},
}


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 600
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def epochs_of(trial: Path) -> list[int]:
    return pd.read_csv(trial / "curve.csv")["epoch"].tolist()


def have_begun(run: Path) -> bool:
    curves = list(run.glob("trials/*/curve.csv"))
    return len(curves) == 2 and all(len(curve.read_text().splitlines()) > 5 for curve in curves)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_saved_before_a_search_stops(
    tmp_path: Path, search_command: Callable[..., list[str]], number: int
) -> None:
    small_space(tmp_path, **LONG)
    search = start(search_command(tmp_path))
    run = tmp_path / "runs/small"
    wait_until(lambda: have_begun(run), search)
    os.kill(search.pid, number)
    said, _ = search.communicate(timeout=300)
    assert search.returncode == 130, said
    assert "stopping: what runs writes its checkpoint" in said
    for trial in run.glob("trials/*"):
        assert checkpoint_epoch(trial / "checkpoint.safetensors") == epochs_of(trial)[-1]
        assert not (trial / "checkpoint.asked").exists()
    assert json.loads((run / "search.json").read_text())["status"] == "interrupted"
    assert pd.read_parquet(run / "trials.parquet")["state"].tolist() == ["running", "running"]


def test_a_run_that_is_asked_writes_its_checkpoint_after_the_epoch(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn", epochs=9)
    run = TrialRun(task)
    run._write_seconds = 1e9  # so long that no checkpoint is due
    run.step()
    assert not task.checkpoint.exists()
    request = CheckpointRequest([task])
    assert not request.over
    run.step()
    assert request.over
    assert checkpoint_epoch(task.checkpoint) == 2
    run.step()
    assert checkpoint_epoch(task.checkpoint) == 2  # once
    run.close()


def test_a_request_does_not_wait_for_ever_nor_for_what_has_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(tmp_path, "cgcnn")
    assert CheckpointRequest([task]).over
    task.curve.parent.mkdir()
    task.curve.write_text("epoch\n1\n")
    monkeypatch.setattr("suite.checkpoint_request.PATIENCE_S", 0.0)
    assert CheckpointRequest([task]).over
    # The next session does not find the old request.
    run = TrialRun(task)
    assert not task.asked.exists()
    run.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a file system of its own needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "none", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"no file system of its own: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_with(ballast: Path) -> None:
    """Leave no room beside this file."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.timeout(900)
def test_a_full_disk_ends_the_search_and_space_continues_it(
    tmp_path: Path, small_disk: Path, search_command: Callable[..., list[str]]
) -> None:
    small_space(tmp_path, **LONG)
    runs = small_disk / "runs"
    command = search_command(tmp_path, "--runs", str(runs), "--set", "budget.epochs=120")
    search = start(command)
    wait_until(lambda: have_begun(runs / "small"), search)
    ballast = small_disk / "ballast"
    fill_with(ballast)
    said, _ = search.communicate(timeout=300)
    assert search.returncode == 1, said
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if "disk" in line] == said.splitlines()[-1:]
    assert said.rstrip().endswith("make space, or mend it. The same command continues.")

    ballast.unlink()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stdout + again.stderr
    assert pd.read_parquet(runs / "small/trials.parquet")["state"].eq("complete").all()
    for trial in (runs / "small/trials").iterdir():
        assert epochs_of(trial) == list(range(1, 121))
    assert not list(runs.rglob("*.partial*"))


def test_a_disk_fault_is_known_through_other_errors() -> None:
    outer = RuntimeError("could not save")
    outer.__cause__ = OSError(28, "No space left on device")
    assert disk_fault(outer) == "the disk: [Errno 28] No space left on device: make space, or mend it"
    assert disk_fault(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert disk_fault(FileNotFoundError(2, "No such file")) is None
