"""A Ray cluster of several nodes on this machine: real `ray start` processes, each with its own resources."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

RAY = str(Path(sys.executable).with_name("ray"))
PATIENCE_S = 90.0
COUNT = """
import ray, sys, time
ray.init(address=sys.argv[1], log_to_driver=False, logging_level=40)
for _ in range(100):
    if sum(node["Alive"] for node in ray.nodes()) == int(sys.argv[2]):
        sys.exit()
    time.sleep(0.1)
sys.exit(1)
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class RayCluster:
    """Use it in a `with` block; only processes that were started here are ever killed."""

    def __init__(self, ip: str = "127.0.0.1") -> None:
        """`ip` is the head's address."""
        self.ip = ip
        self.address = f"{ip}:{free_port()}"
        self.scratch = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
        self.nodes: list[subprocess.Popen] = []
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_prestart_worker_first_driver": "0",  # a worker for each core, most of which nobody needs
            # A node that is silent for some seconds is lost, and one that hears nothing for some gives up.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "5000",
            "RAY_health_check_failure_threshold": "3",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
        }

    def __enter__(self) -> Self:
        return self

    def add(
        self, cpus: int, gpus: int = 0, prefix: tuple[str, ...] = (), ip: str | None = None
    ) -> subprocess.Popen:
        """Start a node, the head first; `prefix` goes before the command, `ip` is the node's own.

        `wait` before the nodes are used.
        """
        own = [f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--object-store-memory=100000000", "--block"]
        if self.nodes:
            command = [RAY, "start", f"--address={self.address}", *own]
            command += [f"--node-ip-address={ip}"] if ip else []
        else:
            port = self.address.rpartition(":")[2]
            command = [RAY, "start", "--head", f"--node-ip-address={self.ip}", f"--port={port}", *own]
            command += [f"--temp-dir={self.scratch}", "--include-dashboard=false"]
        log = self.scratch / f"node{len(self.nodes)}.log"
        with log.open("w") as said:
            node = subprocess.Popen(
                [*prefix, *command], env=self.environment, stdout=said, stderr=said, start_new_session=True
            )
        self.nodes.append(node)
        self._wait_for_its_processes(log)
        return node

    def kill(self, node: subprocess.Popen) -> None:
        """The node's processes are gone at once, as if its power had failed."""
        family = []
        if psutil.pid_exists(node.pid):
            parent = psutil.Process(node.pid)
            family = [*parent.children(recursive=True), parent]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        node.wait()

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            self.kill(node)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def wait(self) -> None:
        """Until the head knows every node that was added."""
        deadline, said = time.monotonic() + PATIENCE_S, ""
        while time.monotonic() < deadline:
            assert all(node.poll() is None for node in self.nodes), self.log()
            done = subprocess.run(
                [sys.executable, "-c", COUNT, self.address, str(len(self.nodes))],
                env=self.environment,
                capture_output=True,
                text=True,
            )
            if done.returncode == 0:
                return
            said = done.stdout + done.stderr
        raise AssertionError(f"{len(self.nodes)} nodes did not come up: {said}\n{self.log()}")

    def _wait_for_its_processes(self, log: Path) -> None:
        """Two nodes that start at the same time may choose the same ports."""
        deadline = time.monotonic() + PATIENCE_S
        while "Ray runtime started" not in log.read_text():
            assert self.nodes[-1].poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def log(self) -> str:
        """What the nodes said."""
        return "\n".join(file.read_text() for file in sorted(self.scratch.glob("node*.log")))
