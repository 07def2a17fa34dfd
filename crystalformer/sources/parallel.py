"""Records -> crystals in several processes, in order, with a bounded number of records in flight.

The processes are started as commands of their own (`worker`), so nothing of the caller's main module is
imported again, and each is alone with its connection: when one ends, by a crash, for lack of memory or
because a record took too long, that record is rejected and the rest of its chunk is given to a new process.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing import Pipe
from multiprocessing.connection import wait
from tempfile import TemporaryFile

from crystalformer.data.array_cache import cores
from crystalformer.data.cell_names import AS_GIVEN
from crystalformer.data.crystal import Crystal
from crystalformer.sources.records import Record, Rejection, Row
from crystalformer.sources.structures import Rules, needs_pymatgen
from crystalformer.sources.worker import convert

CHUNK = 16  # records that a process gets at a time
AHEAD = 4  # chunks per process that may be done before their turn
FEW = 256  # records that are converted sooner than processes start
SECONDS = 60.0  # of CPU time for one record
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

Converted = Crystal | Rejection


def convert_rows(
    rows: Iterable[Row], rules: Rules, workers: int | None = None, seconds: float = SECONDS
) -> Iterator[tuple[Row, Converted]]:
    """Each row with its crystal or the reason why there is none, in the order of the rows.

    Args:
        rows: records, and rejections, which stay what they are. cell: which cell of each crystal, see
        `cells`. workers: processes; None: as many as CPU cores, but none for a few rows or those that are
        quick to read. seconds: of CPU time after which a process gives a record up.
    """
    iterator = iter(rows)
    if workers is None:
        head = list(islice(iterator, FEW))
        slow = rules.cell != AS_GIVEN or any(isinstance(row, Record) and needs_pymatgen(row) for row in head)
        iterator = chain(head, iterator)
        workers = cores() if slow and len(head) == FEW else 0
    if workers == 0:
        return ((row, row if isinstance(row, Rejection) else convert(row, rules)) for row in iterator)
    return _in_processes(iterator, rules, workers, seconds)


@dataclass
class _Chunk:
    """Rows and the answers to the first of them."""

    rows: list[Row]
    done: list[Converted] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pass_rejections()

    @property
    def pending(self) -> bool:
        return len(self.done) < len(self.rows)

    def records(self) -> list[Record]:
        """Those that are still to be converted."""
        return [row for row in self.rows[len(self.done) :] if isinstance(row, Record)]

    def answer(self, converted: Converted) -> None:
        self.done.append(converted)
        self._pass_rejections()

    def give_up(self, why: str) -> None:
        """Reject the record that was being converted."""
        row = self.rows[len(self.done)]
        self.answer(Rejection(row.id, row.where, why))

    def _pass_rejections(self) -> None:
        while self.pending and isinstance(row := self.rows[len(self.done)], Rejection):
            self.done.append(row)


class _Worker:
    """A process and the chunk it has."""

    def __init__(self, rules: Rules, seconds: float) -> None:
        self.connection, theirs = Pipe()
        self.seconds, self.chunk = seconds, None
        self.said = TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        number = theirs.fileno()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "crystalformer.sources.worker"),
                *(str(number), rules.cell, str(int(rules.plausible)), str(seconds)),
            ],
            pass_fds=[number],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | ONE_THREAD,
            stdin=subprocess.DEVNULL,
            stderr=self.said,
        )
        theirs.close()

    chunk: _Chunk | None

    def give(self, chunk: _Chunk) -> None:
        """Send a chunk; if the process is gone, `collect` tells."""
        self.chunk = chunk
        with contextlib.suppress(OSError):
            self.connection.send(chunk.records())

    def collect(self) -> bool:
        """Take the answers that are there; False if the process is gone."""
        assert self.chunk is not None
        try:
            while self.chunk.pending and self.connection.poll():
                self.chunk.answer(self.connection.recv())
        except (EOFError, OSError):
            return False
        return True

    def end(self) -> str:
        """Stop the process; why it stopped, if it did so by itself.

        Raises:
            RuntimeError: it could not work at all.
        """
        self.connection.close()
        try:
            status = self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.said.seek(0)
        said = self.said.read()
        self.said.close()
        if status > 0:
            raise RuntimeError(f"a process that converts crystals ended with status {status}: {said[-2000:]}")
        if status == -signal.SIGPROF:
            return f"took more than {self.seconds:g} s of CPU time to read"
        return "took too much memory, or crashed the process that read it"


def _in_processes(
    rows: Iterator[Row], rules: Rules, workers: int, seconds: float
) -> Iterator[tuple[Row, Converted]]:
    pool: list[_Worker] = []
    order: deque[_Chunk] = deque()  # chunks that have been begun, in the order of the rows
    exhausted = False
    try:
        pool += (_Worker(rules, seconds) for _ in range(workers))
        while True:
            for worker in pool:
                while worker.chunk is None and len(order) < AHEAD * workers:
                    some = list(islice(rows, CHUNK))
                    if not some:
                        exhausted = True
                        break
                    order.append(_Chunk(some))
                    if order[-1].pending:
                        worker.give(order[-1])
            while order and not order[0].pending:
                finished = order.popleft()
                yield from zip(finished.rows, finished.done, strict=True)
            busy = [worker for worker in pool if worker.chunk is not None]
            if busy:
                wait([worker.connection for worker in busy])
            elif exhausted:
                return
            for place, worker in enumerate(pool):
                if worker.chunk is not None:
                    pool[place] = _served(worker, rules)
    finally:
        for worker in pool:
            worker.process.kill()
            worker.end()


def _served(worker: _Worker, rules: Rules) -> _Worker:
    """The worker with its answers taken, or another one in its place that has the rest of its chunk."""
    chunk, alive = worker.chunk, worker.collect()
    assert chunk is not None
    if not alive:
        chunk.give_up(worker.end())
        worker = _Worker(rules, worker.seconds)
        worker.chunk = chunk
        if chunk.pending:
            worker.give(chunk)
    if not chunk.pending:
        worker.chunk = None
    return worker
