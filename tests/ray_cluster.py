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
        """Start a node, the head first; `prefix` goes before the command, `ip` is the node's own."""
        own = [f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--object-store-memory=100000000", "--block"]
        if self.nodes:
            command = [RAY, "start", f"--address={self.address}", *own]
            command += [f"--node-ip-address={ip}"] if ip else []
        else:
            port = self.address.rpartition(":")[2]
            command = [RAY, "start", "--head", f"--node-ip-address={self.ip}", f"--port={port}", *own]
            command += [f"--temp-dir={self.scratch}", "--include-dashboard=false"]
        log = (self.scratch / f"node{len(self.nodes)}.log").open("w")
        node = subprocess.Popen(
            [*prefix, *command], env=self.environment, stdout=log, stderr=log, start_new_session=True
        )
        self.nodes.append(node)
        self._wait(len(self.nodes))
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

    def _wait(self, nodes: int) -> None:
        program = (
            "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level=40);"
            "print(sum(node['Alive'] for node in ray.nodes()))"
        )
        deadline, said = time.monotonic() + PATIENCE_S, ""
        while time.monotonic() < deadline:
            assert self.nodes[-1].poll() is None, self.log()
            done = subprocess.run(
                [sys.executable, "-c", program, self.address],
                env=self.environment,
                capture_output=True,
                text=True,
            )
            said = done.stdout + done.stderr
            if done.stdout.strip() == str(nodes):
                return
            time.sleep(0.5)
        raise AssertionError(f"{nodes} nodes did not come up: {said}\n{self.log()}")

    def log(self) -> str:
        """What the nodes said."""
        return "\n".join(file.read_text() for file in sorted(self.scratch.glob("node*.log")))
