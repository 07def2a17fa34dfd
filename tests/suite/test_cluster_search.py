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
import psutil
import pytest
from private_network import PrivateNetwork, why_not
from ray_cluster import RayCluster
from suite_fixtures import small_space

from crystalformer.training.checkpoint import checkpoint_epoch

ROOT = Path(__file__).parents[2]
SEARCH = [sys.executable, "-m", "suite.search"]
pytestmark = [pytest.mark.searches, pytest.mark.long]


def command(folder: Path, cluster: RayCluster, *settings: str) -> list[str]:
    options = ["--space", str(small_space(folder)), "--runs", str(folder / "runs")]
    options += ["--data", str(folder / "data"), "--address", cluster.address]
    return [*SEARCH, *options, *(part for setting in settings for part in ("--set", setting))]


Lose = Callable[[int], None]  # the node of this number


@contextmanager
def by_death() -> Iterator[tuple[RayCluster, Lose]]:
    """A head and two nodes, and how to lose one: its processes are killed."""
    with RayCluster() as cluster:
        cluster.add(cpus=0)
        nodes = [cluster.add(cpus=1), cluster.add(cpus=1)]
        cluster.wait()
        yield cluster, lambda number: cluster.kill(nodes[number])


@contextmanager
def by_a_cut_link() -> Iterator[tuple[RayCluster, Lose]]:
    """The same with a network namespace for each node: its link is cut, and it trains on."""
    if reason := why_not() or (None if "CHAOS" in os.environ else "takes long: set CHAOS=short"):
        pytest.skip(reason)
    with PrivateNetwork() as network, RayCluster(network.ip) as cluster:
        cluster.add(cpus=0)
        places = [network.add(), network.add()]
        for ip, prefix in places:
            cluster.add(cpus=1, ip=ip, prefix=prefix)
        cluster.wait()
        yield cluster, lambda number: network.cut(places[number][0])


# What Ray calls the process of a trial while it trains, and between two reports.
AT_WORK = ("ray::ResourceTrainable", "ray::TrialActor")


def training_node(cluster: RayCluster) -> int:
    """The number of the node, the head not counted, on which a trial runs."""
    for number, node in enumerate(cluster.nodes[1:]):
        for process in psutil.Process(node.pid).children(recursive=True):
            if "".join(process.cmdline()).startswith(AT_WORK):
                return number
    raise AssertionError("no trial runs")


@pytest.mark.parametrize("loss", [by_death, by_a_cut_link])
def test_a_node_that_is_lost_takes_only_the_epochs_since_its_checkpoint(
    tmp_path: Path, loss: Callable[[], AbstractContextManager[tuple[RayCluster, Lose]]]
) -> None:
    settings = (
        "models={cgcnn: {node_width: 8, hidden_width: 16}}",
        "search.scheduler=none",
        "budget.trials=1",
        "budget.epochs=250",
    )
    trial = tmp_path / "runs/small/trials/t0000"
    checkpoint = trial / "checkpoint.safetensors"
    with loss() as (cluster, lose):
        search = subprocess.Popen(
            command(tmp_path, cluster, *settings, "final.seeds=[0]", "final.epochs=2", "final.floors=false"),
            cwd=ROOT,
            env=cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while checkpoint_epoch(checkpoint) < 5:
            assert search.poll() is None, search.communicate()[0]
            time.sleep(0.02)
        saved = checkpoint_epoch(checkpoint)
        lose(training_node(cluster))
        said, _ = search.communicate(timeout=700)
        assert search.returncode == 0, said
    trials = pd.read_parquet(tmp_path / "runs/small/trials.parquet")
    assert trials["state"].tolist() == ["complete"]
    _, _, after = said.partition("t0000: its worker was lost; it is taken up again")
    assert int(re.findall(r"t0000 \w+: epoch (\d+)/", after)[0]) >= saved
    assert pd.read_csv(trial / "curve.csv")["epoch"].tolist() == list(range(1, 251))


@pytest.mark.skipif(os.geteuid() != 0, reason="a node with a folder of its own needs a mount namespace")
def test_a_folder_that_a_node_does_not_share_is_found_before_the_first_trial(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    hide = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {tmp_path}/runs && exec "$@"', "sh")
    with RayCluster() as cluster:
        cluster.add(cpus=1)
        cluster.add(cpus=1, prefix=hide)
        cluster.wait()
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
