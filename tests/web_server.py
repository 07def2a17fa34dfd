"""Programs that serve pages, started for a test, and asked over HTTP."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Any


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(command: list[str], port: int, folder: Path) -> Iterator[str]:
    """Runs the command in `folder` until the context ends; gives its address once it answers."""
    address = f"http://127.0.0.1:{port}"
    with (folder / "server.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "server.txt").read_text()[-2000:]
            try:
                urllib.request.urlopen(address, timeout=30).close()
                break
            except urllib.error.HTTPError:
                break  # it answers
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError((folder / "server.txt").read_text()[-2000:])
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(address: str, path: str, body: dict | None = None) -> Any:
    """The JSON that a path answers with; with a body, to a POST."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())
