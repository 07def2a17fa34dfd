"""Faults that befall a search: when depends on the epochs that it has trained, not on the machine's speed."""

import itertools
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from killing import WORKERS, end_all, family, named, send, start

PATIENCE_S = 300.0  # for Ray to notice what it has lost, on a busy machine
RESUMABLE = (0, 1, 130)  # 0: it was just done


@dataclass(frozen=True)
class Weather:
    """How bad it gets.

    Attributes:
        trials, epochs: of the search.
        worker: epochs from one fault of a worker to the next, from and to.
        session: likewise of a session.
        halt_s: how long a process is halted, instead of killed.
        sessions: how many sessions end; None for as many as there are until the search is done.
    """

    trials: int
    epochs: int
    worker: tuple[int, int]
    session: tuple[int, int]
    halt_s: float
    sessions: int | None


def _end(search: subprocess.Popen, lost: Callable[[], object]) -> None:
    """Do something from which the search ends by itself, and says that it can be continued."""
    everything = family(search)
    lost()
    try:
        assert search.wait(PATIENCE_S) in RESUMABLE, search.returncode
    finally:
        send(everything, signal.SIGKILL)


def kill_driver(search: subprocess.Popen) -> None:
    """The search alone; Ray's processes and the workers find out by themselves, while the next one starts."""
    search.kill()
    search.wait()


def kill_head(name: str) -> Callable[[subprocess.Popen], None]:
    """One process of Ray's head alone."""
    return lambda search: _end(search, lambda: send(named(search, name), signal.SIGKILL))


def ask_to_stop(search: subprocess.Popen) -> None:
    """SIGTERM to all processes of the group, as `timeout` and schedulers send it."""
    _end(search, lambda: os.killpg(search.pid, signal.SIGTERM))


def interrupt(search: subprocess.Popen) -> None:
    """Ctrl-C, which a terminal sends to all that runs in it."""
    _end(search, lambda: os.killpg(search.pid, signal.SIGINT))


SESSION_FAULTS: dict[str, Callable[[subprocess.Popen], None]] = {
    "driver killed": kill_driver,
    "raylet killed": kill_head("raylet"),
    "gcs_server killed": kill_head("gcs_server"),
    "asked to stop": ask_to_stop,
    "all killed": end_all,
    "interrupted": interrupt,
}
WORKER_FAULTS = ("worker killed", "worker halted", "all halted")


@dataclass
class Storm:
    """A search that is run to its end through the weather.

    Attributes:
        command: the search.
        folder: where it runs, with its log.
        struck: how often each fault struck.
        starts: how often the command was given.
        processes: all that it started.
    """

    command: Sequence[str]
    folder: Path
    weather: Weather
    rng: random.Random

    def __post_init__(self) -> None:
        self.struck: Counter[str] = Counter()
        self.starts = 0
        self.processes: set[psutil.Process] = set()
        self._session_faults: Iterator[str] = itertools.cycle(SESSION_FAULTS)
        self._worker_faults: Iterator[str] = itertools.cycle(WORKER_FAULTS)
        self._run = self.folder / "runs/small"
        self._log = self.folder / "log.txt"

    def rage(self) -> None:
        """Give the command until it is done."""
        while True:
            # Ray waits a minute for a lost head unless told otherwise.
            search = start(self.command, self._log, RAY_gcs_rpc_server_reconnect_timeout_s="3")
            self.starts += 1
            try:
                if self._is_done(search):
                    return
            finally:
                send(family(search), signal.SIGKILL)

    def _is_done(self, search: subprocess.Popen) -> bool:
        """Let a session run into its faults; whether it came to the end of the search."""
        self._bother(search)
        self.processes.update(family(search))
        if search.poll() is None:
            fault = next(self._session_faults)
            SESSION_FAULTS[fault](search)
            self.struck[fault] += 1
            return False
        if search.returncode:
            assert search.returncode == 1, self._log.read_text()  # said to be resumable
            self.struck["ended by itself"] += 1
        return search.returncode == 0

    def _bother(self, search: subprocess.Popen) -> None:
        """Worker faults until the session is to end, or ends."""
        end = self._trained() + self._life()
        fault_at = self._trained() + self.rng.randint(*self.weather.worker)
        while search.poll() is None and (trained := self._trained()) < end:
            if trained >= fault_at and (present := named(search, *WORKERS)):
                fault = next(self._worker_faults)
                self._strike(fault, search, present)
                self.struck[fault] += 1
                fault_at = trained + self.rng.randint(*self.weather.worker)
            time.sleep(0.05)

    def _strike(self, fault: str, search: subprocess.Popen, present: list) -> None:
        if fault == "worker killed":
            send(present, signal.SIGKILL)
            return
        halted = present if fault == "worker halted" else family(search)
        send(halted, signal.SIGSTOP)
        time.sleep(self.weather.halt_s)
        send(halted, signal.SIGCONT)

    def _life(self) -> float:
        ended = sum(self.struck[fault] for fault in SESSION_FAULTS)
        spared = self.weather.sessions is not None and ended >= self.weather.sessions
        return float("inf") if spared else self.rng.randint(*self.weather.session)

    def _trained(self) -> int:
        """Epochs in the curves of trials and final runs, those that will be lost and trained again once."""
        curves = [*self._run.glob("trials/*/curve.csv"), *self._run.glob("final/*/curve.csv")]
        rows = 0
        for curve in curves:
            with suppress(FileNotFoundError):
                rows += max(curve.read_bytes().count(b"\n") - 1, 0)
        return rows
