"""A worker that Ray's memory monitor ends: a configuration too large, not one more worker to replace."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hand_driven_search import OVERRIDES, Search
from ray_cluster import RayCluster
from suite_fixtures import SMALL_MODELS, small_space

ROOT = Path(__file__).parents[2]
SAID = (
    "Failure # 1 (occurred at 2026-11-26_12-40-17)\n1 worker(s) were killed due to the node running low on "
    "memory. Memory on the node (IP: 127.0.0.1, ID: 7bbb) was 22.9GB used / 23.54GB limit (0.97)\nOOM ..."
)


@pytest.mark.searches
def test_rays_memory_monitor_ends_a_search_whose_trials_are_too_large(tmp_path: Path) -> None:
    with RayCluster() as cluster:
        cluster.environment |= {
            "RAY_memory_usage_threshold": "0.001",  # less than any machine uses: no worker survives
            "RAY_memory_monitor_refresh_ms": "100",
        }
        cluster.add(cpus=1)
        cluster.wait()
        space = small_space(tmp_path, models={"cgcnn": SMALL_MODELS["cgcnn"]})
        options = ["--space", str(space), "--runs", str(tmp_path / "runs"), "--trials", "1"]
        options += ["--data", str(tmp_path / "data"), "--address", cluster.address]
        done = subprocess.run(
            [sys.executable, "-m", "suite.search", *options],
            cwd=ROOT,
            env=cluster.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "every trial failed" in done.stderr
    trials = pd.read_parquet(tmp_path / "runs/small/trials.parquet")
    assert trials["state"].eq("failed").all()
    begin = "out of memory: the host's was short and Ray ended its worker: "
    assert trials["ended"].str.startswith(begin).all()
    assert trials["ended"].str.contains("GB used").all()
    assert done.stdout.count("t0000: its worker was lost; it is taken up again") == 1


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
