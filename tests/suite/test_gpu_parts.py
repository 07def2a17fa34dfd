"""Parts of GPUs: which part, a bound on its memory, and no GPU of a cluster given away twice."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray_cluster import RayCluster
from suite_fixtures import small_space

from suite.fraction import CONTEXT_MB, HEAD_ROOM, larger, part_of_gpu
from suite.ray_driver.actor import bundle
from suite.ray_driver.share import claim

TESTS = Path(__file__).parents[1]


@given(st.floats(1, 1e6), st.floats(1e3, 2e5))
def test_a_part_is_the_smallest_even_one_that_holds_what_was_measured(measured: float, total: float) -> None:
    part = part_of_gpu(measured, total)
    parts = round(1 / part)
    assert part == 1 / parts
    needed = measured * HEAD_ROOM + CONTEXT_MB
    assert total * part >= needed or parts == 1
    assert total / (parts + 1) < needed or parts == 16
    assert part < larger(part) <= 1 or part == 1


def test_known_parts() -> None:
    assert part_of_gpu(1000, 80_000) == 1 / 16
    assert part_of_gpu(10_000, 80_000) == 1 / 6
    assert part_of_gpu(40_000, 80_000) == 1
    assert [larger(1 / k) for k in (1, 2, 3, 6, 16)] == [1, 1, 1, 1 / 3, 1 / 8]


def test_a_worker_bounds_its_memory_to_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[float] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", bounds.append)
    assert claim(0.25) == "cpu"  # no GPU here
    assert not bounds
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert claim(0.25) == "cuda"
    assert claim(2.0) == "cuda"
    assert claim(0.0) == "cpu"
    assert bounds == [0.25, 1.0]


def test_tune_reserves_the_part_of_each_trial() -> None:
    assert bundle({"cpu": 2, "gpu": 0.25}).bundles == [{"CPU": 2.0, "GPU": 0.25}]
    assert bundle({"cpu": 1, "gpu": 0.0}).bundles == [{"CPU": 1.0}]


@pytest.mark.long
@pytest.mark.searches
def test_no_gpu_of_two_nodes_is_ever_oversubscribed(tmp_path: Path) -> None:
    """Ray's logical GPUs of 2.3 GB: three of the narrow models fit one, of the wide ones two."""
    space = small_space(
        tmp_path,
        budget={"epochs": 3},
        search={"sampler": "grid", "scheduler": "none", "concurrent": 4},
        resources={"cpu": 1, "gpu": "auto", "gpu_memory": 2.3},
        train={"batch_size": 8, "lr": {"choices": [1e-4, 2e-4, 3e-4]}},
        models={"cgcnn": {"node_width": {"choices": [8, 1024]}, "hidden_width": 16}},
    )
    with RayCluster() as cluster:
        cluster.add(cpus=3, gpus=1)
        cluster.add(cpus=3, gpus=1)
        cluster.wait()
        done = subprocess.run(
            [sys.executable, str(TESTS / "sampled_search.py"), str(space), str(tmp_path), cluster.address],
            cwd=TESTS.parent,
            env={**cluster.environment, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"},
            capture_output=True,
            text=True,
            timeout=800,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    samples = json.loads(done.stdout.splitlines()[-1])
    together = 0
    for sample in samples:
        assert len(sample) <= 4
        used = Counter[str]()
        for _, place, part in sample:
            used[place] += part
        assert all(" gpu " in place for place in used)
        assert max(used.values()) <= 1 + 1e-6, sample
        together = max(together, len(sample))
    assert together >= 3  # of which two shared one of the two GPUs
    rows = pd.read_parquet(tmp_path / "runs/small/trials.parquet")
    assert rows["state"].eq("complete").all()
    parts = rows.groupby("cgcnn/node_width")["gpus"].agg(["min", "max", "count"])
    assert parts.loc[8].tolist() == pytest.approx([1 / 3, 1 / 3, 3])
    assert parts.loc[1024].tolist() == [0.5, 0.5, 3]
