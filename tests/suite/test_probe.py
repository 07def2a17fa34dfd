"""What a configuration needs, measured by a step, and what a dry run shows of it."""

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from suite_fixtures import small_space
from trial_tasks import task_of

from suite import probe_worker
from suite.estimates import ALLOWANCE_S
from suite.probe import needs
from suite.space.estimate import Estimate, estimate_cells, megabytes, period
from suite.training_setup import TrainingSetup
from suite.trial import TrialRun

ROOT = Path(__file__).parents[2]


def test_the_largest_crystals_go_first_and_files_are_as_large_as_said(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn", epochs=1)
    setup = TrainingSetup(task, "cpu")
    data, seen = setup.data, []
    make_batch = type(data.make_batch).__call__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(data.make_batch), "__call__", lambda self, rows: seen.append(rows) or make_batch(self, rows)
        )
        found = needs(setup.trainer)
    batch = task.train_config["batch_size"]
    largest = np.sort(data.sizes[data.train])[::-1][:batch]
    assert sorted(data.sizes[seen[0]], reverse=True) == largest.tolist()
    assert set(seen[1].tolist()) <= set(data.val.tolist())
    assert found.memory_mb > found.added_mb >= 0
    assert found.step_s > 0
    assert found.predict_s > 0
    run = TrialRun(task)
    run.step()
    run.close()
    header = 0.02  # MB
    assert found.checkpoint_mb == pytest.approx(task.checkpoint.stat().st_size / 1e6, abs=header)


def test_a_wider_model_needs_more_memory_by_what_it_holds(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn", epochs=1)
    wide = replace(task, model_config={**task.model_config, "node_width": 1024})
    lines = [json.dumps({"task": asdict(each), "threads": 1}) for each in (task, wide)]
    worker = [sys.executable, "-m", "suite.probe_worker"]
    done = subprocess.run(
        worker, input="\n".join(lines) + "\n", cwd=ROOT, capture_output=True, text=True, timeout=250
    )
    ready, small, large = map(json.loads, done.stdout.splitlines())
    assert ready == {"ready": True}
    assert "failed" not in {**small, **large}
    assert small["steps"] == 32 // 8  # of the whole split, not of the crystals that were prepared
    # A step adds gradients and two moments to the weights; activations come on top.
    weights = large["weights_mb"] - small["weights_mb"]
    assert large["added_mb"] - small["added_mb"] > 0.9 * 3 * weights > 100
    assert large["memory_mb"] - small["memory_mb"] > 0.9 * 4 * weights
    assert large["memory_mb"] - small["memory_mb"] < 40 * weights


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "the system killed its process, most likely for lack"),
        (lambda: os._exit(3), "its process ended with exit code 3"),
        (lambda: [][0], "IndexError: list index out of range"),
    ],
)
def test_a_process_that_dies_measuring_takes_nothing_with_it(
    fate: object,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    order = json.dumps({"task": asdict(task_of(tmp_path, "cgcnn")), "threads": 1})
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{order}\n{order}\n"))
    monkeypatch.setattr(probe_worker, "measure", lambda *_: fate())  # type: ignore[operator]
    monkeypatch.setattr(probe_worker, "keep_freed_memory", lambda: None)
    probe_worker.main()
    _, *answers = map(json.loads, capfd.readouterr().out.splitlines())
    assert [answer["failed"][: len(said)] for answer in answers] == [said] * 2


def test_a_dry_run_shows_needs_within_100_columns_and_leaves_nothing_behind(tmp_path: Path) -> None:
    space = small_space(
        tmp_path,
        models={"cgcnn": {"node_width": {"choices": [8, 16]}}},
        resources={"gpu": "auto", "gpu_memory": 80},
    )
    options = ["--space", str(space), "--runs", str(tmp_path / "runs"), "--data", str(tmp_path / "data")]
    done = subprocess.run(
        [sys.executable, "-m", "suite.search", *options, "--dry-run"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    head = next(line for line in lines if "example configuration" in line)
    assert head.split()[-6:] == ["parameters", "memory", "disk", "a", "trial", "GPU"]
    assert all(len(line) <= 100 for line in lines if "Note" not in line)
    first = next(line for line in lines if "(tried first)" in line)
    if "not all examples were measured" not in done.stdout:  # as on a machine that is much too busy
        assert first.split()[-1] == "1/16"
        assert " MB " in first
        assert "final runs take" in done.stdout
    assert ALLOWANCE_S <= 30
    assert not (tmp_path / "runs").exists()


def test_how_estimates_are_written() -> None:
    assert estimate_cells(Estimate(1520.0, 3.14, 1.0, 424.0, 1 / 3)) == ("1.5 GB", "3.1 MB", "7.1 min", "1/3")
    assert estimate_cells(Estimate(420.0, 31.4, 1.0, 3.0, None)) == ("420 MB", "31 MB", "3.0 s", "-")
    assert estimate_cells(None) == ("-", "-", "-", "-")
    assert [period(s) for s in (42, 89, 90, 5400, 129_600)] == ["42 s", "89 s", "1.5 min", "1.5 h", "1.5 d"]
    assert megabytes(999) == "999 MB"
