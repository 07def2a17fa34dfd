"""What the examples of a dry run need: each takes a step in a process of its own, see `suite.probe`."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO

from suite.fraction import part_of_gpu
from suite.prepare import PreparedData
from suite.space.describe import examples
from suite.space.estimate import Estimate, megabytes, period
from suite.space.search_space import SearchSpace
from suite.trial_task import TrialTask

ALLOWANCE_S, PATIENCE_S = 30.0, 15.0  # for all examples together, for one: a dry run is to be quick
_START_S = 120.0  # of the worker, which imports PyTorch first; for a machine that is busy otherwise
# What a trial leaves for every epoch, a row of its curve and the scalars of TensorBoard.
_EPOCH_MB = 0.001


@dataclass
class Estimates:
    """What was found: per model an estimate for each of `examples`, and what the reader should know."""

    of: dict[str, list[Estimate | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def estimate(space: SearchSpace, data: PreparedData) -> Estimates:
    """Measure the examples of every model, the first of each before the second ones.

    Whatever cannot be measured, for lack of time or memory, is None and has a note.
    """
    drawn = {key: examples(space, model) for key, model in space.models.items()}
    result = Estimates({key: [None] * len(points) for key, points in drawn.items()})
    turns = [
        (key, index)
        for index in range(max(map(len, drawn.values())))
        for key, points in drawn.items()
        if index < len(points)
    ]
    tasks = [_task(space, data, key, drawn[key][index]) for key, index in turns]
    threads = max(1, int(space.resources.cpu) // space.resources.processes)
    slow = set()
    for (key, index), task, answer in zip(turns, tasks, _answers(tasks, threads), strict=True):
        if answer is None:
            slow.add(key)
        elif "failed" in answer:
            result.notes.append(f"{key}, example {index + 1}: not measured: {answer['failed']}")
        else:
            result.of[key][index] = _estimate(space, task, answer)
    result.notes += [
        f"{key}: not all examples were measured within {PATIENCE_S:g} s each and {ALLOWANCE_S:g} s in all; "
        "the first use of Crystalformer compiles its kernel"
        for key in space.models
        if key in slow
    ]
    result.notes += _totals(space, result)
    return result


def _task(space: SearchSpace, data: PreparedData, model: str, params: Mapping) -> TrialTask:
    model_config, train_config = space.resolve(model, params)
    target = space.data.targets[0]
    return TrialTask(
        run_id="example",
        model=model,
        model_config=asdict(model_config),
        train_config=asdict(train_config),
        recipe=space.models[model].recipe_of(params),
        seed=space.search.seed,
        target=target,
        unit=data.units[target],
        store=str(data.store.path.resolve()),
        split=data.splits[target].hash,
        folder="",
        cache="",
        tensorboard="",
        hparams={},
    )


def _answers(tasks: Sequence[TrialTask], threads: int) -> Iterator[dict | None]:
    """The worker's answers, in order; None where time is used up, also by an earlier example of the model."""
    left_s = ALLOWANCE_S
    worker: _Worker | None = None
    slow: set[str] = set()
    try:
        for task in tasks:
            if left_s <= 0 or task.model in slow:
                yield None
                continue
            worker = worker or _Worker()
            started = time.monotonic()
            answer = worker.ask({"task": asdict(task), "threads": threads}, min(left_s, PATIENCE_S))
            left_s -= time.monotonic() - started
            if answer is None:
                worker.close()
                worker = None
                slow.add(task.model)
            yield answer
    finally:
        if worker is not None:
            worker.close()


class _Worker:
    """A process that measures, see `suite.probe_worker`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "suite.probe_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # it has processes of its own
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        self._lines.get(timeout=_START_S)

    def ask(self, order: dict, patience_s: float) -> dict | None:
        """The answer; None if it takes too long."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return json.loads(self._lines.get(timeout=patience_s))
        except queue.Empty:
            return None

    def close(self) -> None:
        """End it and its processes."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self._lines.put(line)


def _estimate(space: SearchSpace, task: TrialTask, answer: dict) -> Estimate:
    epochs = space.budget.epochs
    given = space.resources.gpu_memory_gb
    total_mb = answer.get("gpu_mb", None if given is None else 1000 * given)
    wanted = space.resources.gpu
    part = wanted if wanted != "auto" else total_mb and part_of_gpu(answer["added_mb"], total_mb)
    epoch_s = answer["steps"] * answer["step_s"] + answer["val"] * answer["predict_s"]
    return Estimate(
        memory_mb=answer["memory_mb"],
        disk_mb=answer["checkpoint_mb"] + _EPOCH_MB * epochs,
        weights_mb=answer["weights_mb"],
        trial_s=epochs * epoch_s / space.resources.processes,
        gpu=part or None,
    )


def _totals(space: SearchSpace, result: Estimates) -> Iterator[str]:
    """The whole search in a line, from the mean of each model's examples."""
    from suite.turns import Turns

    search, final, epochs = space.search, space.final, space.budget.epochs
    known = {key: [each for each in found if each is not None] for key, found in result.of.items()}
    if not all(known.values()):
        return
    targets = space.data.targets
    trials, runs = Turns(space).limit * len(targets), final.top * len(final.seeds)  # of a model and a target
    finals = runs * len(known) * len(targets)
    mean_s = {key: sum(each.trial_s for each in found) / len(found) for key, found in known.items()}
    seconds = trials * sum(mean_s.values()) / len(mean_s)
    seconds += runs * sum(final.epochs[target] for target in targets) / epochs * sum(mean_s.values())
    seconds /= search.concurrent
    largest = max(each.disk_mb for found in known.values() for each in found)
    kept = sum(max(each.weights_mb for each in found) for found in known.values())
    disk = search.concurrent * largest + trials * _EPOCH_MB * epochs + runs * len(targets) * kept
    yield (
        f"estimated, nothing stopped early: {trials} trials and {finals} final runs take {period(seconds)} "
        f"with {search.concurrent} at a time and {megabytes(disk)} of disk at most"
    )
