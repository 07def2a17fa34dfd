"""A search on a cluster of several nodes, one of which dies, and folders that a node does not share."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from ray_cluster import RayCluster
from suite_fixtures import small_space

ROOT = Path(__file__).parents[2]
SEARCH = [sys.executable, "-m", "suite.search"]


def command(folder: Path, cluster: RayCluster, *settings: str) -> list[str]:
    options = ["--space", str(small_space(folder)), "--runs", str(folder / "runs")]
    options += ["--data", str(folder / "data"), "--address", cluster.address]
    return [*SEARCH, *options, *(part for setting in settings for part in ("--set", setting))]


@pytest.mark.timeout(600)
def test_a_node_that_dies_takes_no_trial_with_it(tmp_path: Path) -> None:
    with RayCluster() as cluster:
        cluster.add(cpus=1)
        worker = cluster.add(cpus=1)
        search = subprocess.Popen(
            command(tmp_path, cluster, "search.concurrent=2", "search.scheduler=none"),
            cwd=ROOT,
            env=cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while len(list((tmp_path / "runs").glob("*/trials/*/curve.csv"))) < 2:
            assert search.poll() is None, search.communicate()[0]
            time.sleep(0.05)
        cluster.kill(worker)
        said, _ = search.communicate(timeout=400)
        assert search.returncode == 0, said
    trials = pd.read_parquet(tmp_path / "runs/small/trials.parquet")
    assert trials["state"].eq("complete").all()
    assert trials["trial_id"].is_unique
    for curve in (tmp_path / "runs").glob("*/trials/*/curve.csv"):
        epochs = pd.read_csv(curve)["epoch"].tolist()
        assert epochs == list(range(1, len(epochs) + 1))


@pytest.mark.skipif(os.geteuid() != 0, reason="a node with a folder of its own needs a mount namespace")
def test_a_folder_that_a_node_does_not_share_is_found_before_the_first_trial(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    hide = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {tmp_path}/runs && exec "$@"', "sh")
    with RayCluster() as cluster:
        cluster.add(cpus=1)
        cluster.add(cpus=1, prefix=hide)
        done = subprocess.run(
            command(tmp_path, cluster),
            cwd=ROOT,
            env=cluster.environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert done.returncode == 1
    assert "does not share" in done.stderr
    assert "choose --runs and --data on storage that all nodes see" in done.stderr
    assert not list((tmp_path / "runs").glob("*/trials/*"))
