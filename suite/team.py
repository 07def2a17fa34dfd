"""`Team`: the processes that train one run data-parallel, started and ended by the first of them.

The first process, rank 0, is whoever has the run: it keeps records and checkpoints. The others are started
here on the same machine, with the same devices in sight, as `python -m suite.team`; they do nothing but
train along. A process that is lost ends them all, so that the run goes on from its checkpoint in new ones.
"""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from crystalformer.allocator import keep_freed_memory
from crystalformer.training.ranks import Ranks, listening_store, store_at
from suite.training_setup import TrainingSetup
from suite.trial_task import TrialTask

_GRACE_S = 30.0  # for an error to arrive by itself when a process is gone; NCCL would wait for it for ever
_ABANDONED = 70  # exit code


@dataclass(frozen=True)
class Place:
    """Where and how a run is trained; nothing of it changes the result but for rounding.

    Attributes:
        device: "cpu" or "cuda"; with several processes each takes the CUDA device of its rank.
        processes: that train it data-parallel.
        passes: crystals of one pass at most to begin with, where the recipe leaves that open.
    """

    device: str = "cpu"
    processes: int = 1
    passes: int | None = None

    def device_of(self, rank: int) -> str:
        """The device of one of the processes."""
        return f"cuda:{rank}" if self.device == "cuda" and self.processes > 1 else self.device


ALONE = Place()


class Team:
    """The other processes of a run, and this one's place among them as `ranks`.

    Args:
        task: what is trained; its folder gets what the others say, `rank1.log` and so on.
        place: where, with two processes or more.
    """

    def __init__(self, task: TrialTask, place: Place) -> None:
        if sys.platform == "linux":  # all processes are on this machine
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        size = place.processes
        meeting = listening_store(size)
        self._logs = [Path(task.folder) / f"rank{rank}.log" for rank in range(1, size)]
        self._others: list[subprocess.Popen] = []
        self._closing = False
        order = {"task": asdict(task), "place": asdict(place), "port": meeting.port}
        order |= {"threads": torch.get_num_threads()}
        for rank, log in enumerate(self._logs, start=1):
            self._others.append(_start({**order, "rank": rank}, log))
        threading.Thread(target=self._watch, daemon=True).start()
        self.ranks = Ranks(0, size, meeting, place.device_of(0))

    def close(self) -> None:
        """End the others."""
        self._closing = True
        for other in self._others:
            other.kill()
            other.wait()
            if other.stdin is not None:
                other.stdin.close()
        self.ranks.close()
        for log in self._logs:
            log.unlink(missing_ok=True)

    def _watch(self) -> None:
        """End this process when another one is gone and the error does not arrive by itself."""
        while not self._closing:
            if any(other.poll() for other in self._others):
                time.sleep(_GRACE_S)
                if not self._closing:
                    os._exit(_ABANDONED)
            time.sleep(0.2)


def _start(order: dict, log: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with log.open("w") as file:
        other = subprocess.Popen(
            [sys.executable, "-m", "suite.team"],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            text=True,
            env=environment,
        )
    assert other.stdin is not None
    other.stdin.write(json.dumps(order) + "\n")
    other.stdin.flush()
    return other


def main() -> None:
    """Another process of a team: its order is a line of the standard input, whose end is the end."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    place, rank = Place(**order["place"]), order["rank"]
    device = place.device_of(rank)
    keep_freed_memory()
    torch.set_num_threads(order["threads"])
    if place.device == "cuda":
        torch.cuda.set_device(device)
    ranks = Ranks(rank, place.processes, store_at(order["port"], place.processes), device)
    trainer = TrainingSetup(TrialTask(**order["task"]), device, ranks, place.passes).trainer
    while not trainer.finished:
        trainer.run_epoch()
    threading.Event().wait()  # the first process may still predict


def _end_with_the_first() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
