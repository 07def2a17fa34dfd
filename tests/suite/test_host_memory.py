"""A worker that Ray's memory monitor ends: a configuration too large, not one more worker to replace."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pytest
from hand_driven_search import OVERRIDES, Search
from killing import family, send, start, wait_until
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import OutOfMemoryError, RayActorError
from running_search import LONG
from suite_fixtures import small_space

from suite.ray_driver.ray_itself import adapt

GB = 10**9
LARGE = pytest.mark.skipif("CHAOS" not in os.environ, reason="takes gigabytes: set CHAOS=short")
SAID = (
    "Failure # 1 (occurred at 2026-11-26_12-40-17)\n1 worker(s) were killed due to the node running low on "
    "memory. Memory on the node (IP: 127.0.0.1, ID: 7bbb) was 22.9GB used / 23.54GB limit (0.97)\nOOM ..."
)


@contextmanager
def search_with_room(folder: Path, room: int, **blocks: object) -> Iterator[tuple[subprocess.Popen, Path]]:
    """A search on a machine with so many bytes left, and its log."""
    memory = psutil.virtual_memory()
    if memory.available < 2 * room:
        pytest.skip(f"needs {2 * room / GB:.0f} GB of free memory")
    space = small_space(folder, **(LONG | blocks))
    options = ["--space", str(space), "--runs", str(folder / "runs"), "--data", str(folder / "data")]
    search = start(
        [sys.executable, "-m", "suite.search", *options],
        folder / "log.txt",
        RAY_memory_usage_threshold=str((memory.total - memory.available + room) / memory.total),
        RAY_memory_monitor_refresh_ms="100",
    )
    try:
        yield search, folder / "log.txt"
    finally:
        send(family(search), signal.SIGKILL)


@pytest.mark.searches
@LARGE
def test_a_configuration_that_takes_all_the_memory_is_one_more_failed_trial(tmp_path: Path) -> None:
    models = {"cgcnn": {"hidden_width": 16384, "hidden_layers": 2}}  # weights, gradients, Adam: 4 GB and more
    budget = {"trials": 1, "epochs": 2}
    with search_with_room(tmp_path, 5 * GB, models=models, budget=budget) as (search, log):
        assert search.wait(600) == 1, log.read_text()
        said = log.read_text()
    assert "every trial failed" in said
    trials = pd.read_parquet(tmp_path / "runs/small/trials.parquet")
    assert trials["state"].eq("failed").all()
    begin = "out of memory: the host's was short and Ray ended its worker: "
    assert trials["ended"].str.startswith(begin).all()
    assert trials["ended"].str.contains("GB used").all()
    assert said.count("t0000: its worker was ended because its node ran short of memory; it is taken up") == 1
    assert "raylet" not in said


@pytest.mark.searches
@LARGE
def test_a_search_waits_while_others_need_the_memory(tmp_path: Path) -> None:
    curve = tmp_path / "runs/small/trials/t0000/curve.csv"
    left = psutil.virtual_memory().available - 5 * GB
    with search_with_room(tmp_path, 5 * GB, budget={"trials": 1, "epochs": 500}) as (search, log):
        wait_until(lambda: curve.exists() and curve.read_text().count("\n") > 9, search, log)
        taken: list[np.ndarray] = []

        def losses() -> int:
            """The losses so far; without any, the memory in use is kept above the threshold."""
            count = log.read_text().count("ran short of memory; it is taken up again")
            if count == 0 and psutil.virtual_memory().available > left - GB:
                taken.append(np.ones(GB // 2, np.uint8))
            return count

        wait_until(lambda: losses() == 2, search, log)
        taken.clear()
        assert search.wait(300) == 0, log.read_text()
    assert pd.read_csv(curve)["epoch"].tolist() == list(range(1, 501))


def test_tune_takes_the_end_for_memory_for_a_loss() -> None:
    heard: list[Exception] = []
    actor = TrackedActor(0, on_error=lambda _, error: heard.append(error))
    manager = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    adapt()
    error = OutOfMemoryError("1 worker(s) were killed due to the node running low on memory")
    RayActorManager._actor_task_failed(manager, TrackedActorTask(actor), error)  # type: ignore[arg-type]
    [loss] = heard
    assert isinstance(loss, RayActorError)
    assert str(loss) == str(error)


def end_for_memory(search: Search, tune_id: str) -> None:
    search.searcher.said_of_losses[tune_id] = SAID
    search.searcher.on_trial_complete(tune_id, error=True)


def test_the_sampler_hears_that_the_configuration_is_too_large(tmp_path: Path) -> None:
    search = Search(tmp_path)
    for again in range(2):
        assert search.start(f"tune{again}") == 0
        end_for_memory(search, f"tune{again}")
    [row] = search.ledger.rows("y")
    assert row["state"] == "failed"
    assert row["ended"].endswith("Ray ended its worker: 22.9GB used / 23.54GB limit (0.97)")
    assert search.ledger.trials()[0].result["infeasible"] is True


def test_others_that_take_the_memory_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("suite.ray_driver.losses.monotonic", lambda: clock[0])
    search, waited = Search(tmp_path), []
    for again in range(8):
        began = clock[0]
        while search.searcher.suggest(f"tune{again}") is None:
            clock[0] += 5.0
        waited.append(clock[0] - began)
        if again == 6:
            search.searcher.on_trial_result(
                f"tune{again}", {"epoch": 1, "val_mae": 0.1, "crystals_per_s": 1.0, "trained_s": 1.0}
            )
        assert search.searcher.running[f"tune{again}"][0].number == 0
        search.searcher.said_of_losses[f"tune{again}"] = SAID + " pid=7, actual memory used=0.46GB, worker"
        search.searcher.on_trial_complete(f"tune{again}", error=True)
    assert waited == [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 10.0]


def test_a_trial_that_gets_further_fits_whoever_took_the_memory(tmp_path: Path) -> None:
    search = Search(tmp_path)
    for epoch in range(1, 5):
        assert search.start(f"tune{epoch}") == 0
        search.result(0, epoch, 0.1)
        end_for_memory(search, f"tune{epoch}")
    assert search.start("tune5") == 0
    end_for_memory(search, "tune5")
    assert search.ledger.rows("y")[0]["state"] == "failed"


def test_with_automatic_micro_batches_smaller_passes_are_tried_first(tmp_path: Path) -> None:
    search = Search(tmp_path)
    make_task = search.searcher._make_task
    train = {"epochs": 8, "batch_size": 5, "micro_batch": "auto"}
    search.searcher._make_task = lambda assignment: replace(make_task(assignment), train_config=train)
    passes = []
    for again in range(5):
        passes.append(search.searcher.suggest(f"tune{again}")["passes"])
        end_for_memory(search, f"tune{again}")
    assert passes[:4] == [None, 3, 2, 1]  # then it is over, and the next trial begins
    assert search.ledger.rows("y")[0]["state"] == "failed"


def test_while_trials_run_tune_is_asked_to_wait_rather_than_to_end(tmp_path: Path) -> None:
    search = Search(tmp_path, (*OVERRIDES, "budget.trials=2"))
    assert [search.start(f"tune{n}") for n in range(2)] == [0, 1]
    assert search.searcher.suggest("tune2") is None
    search.searcher.on_trial_complete("tune1", error=True)  # its worker is lost
    assert search.start("tune3") == 1  # and it is taken up at once
    for number in (0, 1):
        search.result(number, 8, 0.1)
    assert search.searcher.suggest("tune4") == "FINISHED"
