"""A search and everything it started, to be killed, halted or looked at; nothing else is ever touched."""

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
WORKERS = ("ray::ResourceTrainable", "ray::TrialActor")  # Ray's names for one that trains, and one that waits


def start(command: Sequence[str], log: Path, **environment: str) -> subprocess.Popen:
    """Start a search in a session of its own, as a shell does; what it says is appended to `log`."""
    with log.open("a") as file:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def family(search: subprocess.Popen) -> list[psutil.Process]:
    """The search and everything it started: Ray's head, its workers."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(search.pid)
        return [*parent.children(recursive=True), parent]
    return []


def named(search: subprocess.Popen, *names: str) -> list[psutil.Process]:
    """Its processes whose command begins with one of these."""
    found = []
    for process in family(search):
        with suppress(psutil.NoSuchProcess):
            if process.cmdline() and Path(process.cmdline()[0]).name.startswith(names):
                found.append(process)
    return found


def send(processes: Sequence[psutil.Process], number: int) -> None:
    """Send a signal to those that are still there."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def end_all(search: subprocess.Popen) -> None:
    """The search and all that it started, at once, as a power failure does."""
    send(family(search), signal.SIGKILL)
    search.wait()


def wait_until(condition: Callable[[], bool], search: subprocess.Popen, log: Path) -> None:
    """Wait for a file or a state, for as long as the search runs."""
    while not condition():
        with suppress(subprocess.TimeoutExpired):
            search.wait(0.05)
            raise AssertionError(log.read_text())
