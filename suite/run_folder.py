"""`RunFolder`: the folder of a training run, which belongs to one process at a time, the latest that asks.

A process of a session that is over may live on: for seconds where its session was killed, for minutes on a
node that lost its network. Two must not write one folder, so each holds a lock, and the one that comes later
asks the other to leave. That one does so after the epoch it is in; where it only waits to be told what to do,
as a worker does that nobody reaches any more, at once.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from filelock import FileLock, Timeout

_PATIENCE_S = 120.0
_LOOK_S = 1.0  # how often a process that waits looks whether it is asked to leave
HOLDER = ".holder"  # a file with the name of the process that has the folder


class FolderHeld(RuntimeError):
    """Another process holds the folder and does not leave; it may later on."""


class Superseded(RuntimeError):
    """A later process has asked for the folder: this one is of a session that is over."""


class RunFolder:
    """A run's folder, made where it is absent, and held until `release`.

    What processes that were killed have left half-written is removed.

    Raises:
        FolderHeld: with the process that holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._asked = path / ".wanted"
        path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path / ".lock", thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self._ask()
        self._asked.unlink(missing_ok=True)
        (path / HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        for partial in path.glob("*.partial"):
            partial.unlink(missing_ok=True)
        self._busy, self._over = threading.Lock(), threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True, name="run folder")
        self._watching.start()

    @contextmanager
    def working(self) -> Iterator[None]:
        """A context in which the folder is ours, and may be written.

        Raises:
            Superseded: it is not ours any more.
        """
        with self._busy:
            if not self._lock.is_locked:
                self._leave()
            yield

    def check_ours(self) -> None:
        """Has anybody asked for the folder?

        Raises:
            Superseded: they have.
        """
        if self._asked.exists():
            self._leave()

    def release(self) -> None:
        """Let go of the folder."""
        self._over.set()
        self._watching.join()
        if self._lock.is_locked:
            (self.path / HOLDER).unlink(missing_ok=True)
        self._lock.release()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            if self._asked.exists() and self._busy.acquire(timeout=_LOOK_S):
                self._lock.release()
                self._busy.release()
                return

    def _leave(self) -> NoReturn:
        raise Superseded(f"{self.path}: a later process takes it over")

    def _ask(self) -> None:
        self._asked.touch()
        try:
            self._lock.acquire(timeout=_PATIENCE_S)
        except Timeout:
            self._give_up()

    def _give_up(self) -> NoReturn:
        try:
            holder = (self.path / HOLDER).read_text(encoding="utf-8")
        except OSError:
            holder = "another process"
        raise FolderHeld(f"{self.path} is still held by {holder}") from None
