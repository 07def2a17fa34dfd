"""A search while it runs: nobody else reaches it, and asked to stop it first saves what was done."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from running_search import LONG, epochs_of, have_begun, start, wait_until
from suite_fixtures import small_space
from trial_tasks import task_of

from crystalformer.training.checkpoint import checkpoint_epoch
from suite.checkpoint_request import CheckpointRequest
from suite.trial import TrialRun


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, search_command: Callable[..., list[str]]
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A search in the middle of two trials, and the folder of its run."""
    folder = tmp_path_factory.mktemp("running")
    small_space(folder, **LONG)
    search = start(search_command(folder))
    run = folder / "runs/small"
    wait_until(lambda: have_begun(run), search)
    yield search, run
    if search.poll() is None:
        search.terminate()
        search.communicate(timeout=120)


def test_it_listens_on_loopback_alone_and_knows_its_token(
    running: tuple[subprocess.Popen[str], Path],
) -> None:
    search, _ = running
    processes = [psutil.Process(search.pid), *psutil.Process(search.pid).children(recursive=True)]
    sockets = [
        (process.name(), connection.laddr.ip)
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(sockets) > 3
    assert {ip.removeprefix("::ffff:") for _, ip in sockets} <= {"127.0.0.1", "::1"}, sockets
    assert all(process.environ().get("RAY_AUTH_MODE", "token") == "token" for process in processes)


def test_no_process_is_there_for_nothing(running: tuple[subprocess.Popen[str], Path]) -> None:
    search, _ = running
    commands = [" ".join(child.cmdline()) for child in psutil.Process(search.pid).children(recursive=True)]
    assert any("raylet" in command for command in commands)
    assert not [command for command in commands if "monitor.py" in command]


def test_what_runs_is_saved_before_it_stops(running: tuple[subprocess.Popen[str], Path]) -> None:
    """The last test that finds it running. `timeout` and batch systems signal all processes of the group."""
    search, run = running
    os.killpg(search.pid, signal.SIGTERM)
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
