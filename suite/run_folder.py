"""`RunFolder`: the folder of a training run, which belongs to one process at a time, the latest that asks.

A process of a session that is over may live on: for seconds where its session was killed, for minutes on a
node that lost its network. Two must not write one folder, so each holds a lock, and the one that comes later
asks the other to leave, which it does after the epoch it is in.
"""

import os
import socket
from pathlib import Path
from typing import NoReturn

from filelock import FileLock, Timeout

_PATIENCE_S = 120.0
_HOLDER = ".holder"


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
        self._lock = FileLock(path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self._ask()
        self._asked.unlink(missing_ok=True)
        (path / _HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        for partial in path.glob("*.partial"):
            partial.unlink(missing_ok=True)

    def check_ours(self) -> None:
        """Has anybody asked for the folder?

        Raises:
            Superseded: they have.
        """
        if self._asked.exists():
            raise Superseded(f"{self.path}: a later process takes it over")

    def release(self) -> None:
        """Let go of the folder."""
        if self._lock.is_locked:
            (self.path / _HOLDER).unlink(missing_ok=True)
        self._lock.release()

    def _ask(self) -> None:
        self._asked.touch()
        try:
            self._lock.acquire(timeout=_PATIENCE_S)
        except Timeout:
            self._give_up()

    def _give_up(self) -> NoReturn:
        try:
            holder = (self.path / _HOLDER).read_text(encoding="utf-8")
        except OSError:
            holder = "another process"
        raise FolderHeld(f"{self.path} is still held by {holder}") from None
