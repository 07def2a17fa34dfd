"""A search on a cluster of several nodes, one of which is lost, and folders that a node does not share."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pandas as pd
import pytest
from private_network import PrivateNetwork, why_not
from ray_cluster import RayCluster
from suite_fixtures import small_space

from crystalformer.training.checkpoint import checkpoint_epoch

ROOT = Path(__file__).parents[2]
SEARCH = [sys.executable, "-m", "suite.search"]


def command(folder: Path, cluster: RayCluster, *settings: str) -> list[str]:
    options = ["--space", str(small_space(folder)), "--runs", str(folder / "runs")]
    options += ["--data", str(folder / "data"), "--address", cluster.address]
    return [*SEARCH, *options, *(part for setting in settings for part in ("--set", setting))]


Lose = Callable[[], None]


@contextmanager
def by_death() -> Iterator[tuple[RayCluster, Lose]]:
    """A head and two nodes, and how to lose the second: its processes are killed."""
    with RayCluster() as cluster:
        cluster.add(cpus=0)
        cluster.add(cpus=1)
        second = cluster.add(cpus=1)
        yield cluster, lambda: cluster.kill(second)


@contextmanager
def by_a_cut_link() -> Iterator[tuple[RayCluster, Lose]]:
    """The same with a network namespace for each node: the second one's link is cut, and it trains on."""
    if reason := why_not():
        pytest.skip(reason)
    with PrivateNetwork() as network, RayCluster(network.ip) as cluster:
        cluster.add(cpus=0)
        places = [network.add(), network.add()]
        for ip, prefix in places:
            cluster.add(cpus=1, ip=ip, prefix=prefix)
        yield cluster, lambda: network.cut(places[1][0])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("loss", [by_death, by_a_cut_link])
def test_a_node_that_is_lost_takes_only_the_epochs_since_its_checkpoint(
    tmp_path: Path, loss: Callable[[], AbstractContextManager[tuple[RayCluster, Lose]]]
) -> None:
    settings = ("search.concurrent=2", "search.scheduler=none", "budget.trials=2", "budget.epochs=150")
    curves = tmp_path / "runs/small/trials"
    with loss() as (cluster, lose):
        search = subprocess.Popen(
            command(tmp_path, cluster, *settings, "final.seeds=[0]"),
            cwd=ROOT,
            env=cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while len(list(curves.glob("*/checkpoint.safetensors"))) < 2:
            assert search.poll() is None, search.communicate()[0]
            time.sleep(0.05)
        saved = {path.parent.name: checkpoint_epoch(path) for path in curves.glob("*/checkpoint.safetensors")}
        lose()
        said, _ = search.communicate(timeout=700)
        assert search.returncode == 0, said
    trials = pd.read_parquet(tmp_path / "runs/small/trials.parquet")
    assert trials["state"].tolist() == ["complete", "complete"]
    lost = re.findall(r"(t000\d): its worker was lost; it is taken up again", said)
    assert lost
    for trial in lost:  # where it went on, in the order in which it was told
        after = said.partition(f"{trial}: its worker was lost")[2]
        went_on = int(re.findall(rf"{trial} \w+: epoch (\d+)/", after)[0])
        assert went_on >= max(saved[trial], 1)
        assert went_on > 1
    for curve in curves.glob("*/curve.csv"):
        assert pd.read_csv(curve)["epoch"].tolist() == list(range(1, 151))


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
