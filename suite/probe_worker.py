"""Measures configurations for a dry run, in processes that may run out of memory.

`python -m suite.probe_worker` reads a task a line and answers with a line each. Only the crystals of the
measured batches are prepared, in a folder of their own, so that no graph of a whole data set is built for it.
"""

import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crystalformer.allocator import keep_freed_memory
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.loader import EpochOrder
from crystalformer.data.splits import Split, load_split, save_split
from crystalformer.data.store_writer import write_store
from suite.probe import needs
from suite.training_setup import TrainingSetup
from suite.trial_task import TrialTask


def measure(task: TrialTask, device: str) -> dict[str, float]:
    """What the task needs; `steps` is the number of training steps of an epoch of the whole split."""
    store = ArrayStore.open(Path(task.store), verify=False)
    split = load_split(store, task.split).without_test()
    train, val = store.rows(split.train), store.rows(split.val)
    size = task.train_config["batch_size"]
    order = EpochOrder(train, size, task.seed)
    ordinary = order.epoch(0)[0]
    shown = np.union1d(_largest(train, store.sizes, size), ordinary)
    with tempfile.TemporaryDirectory() as folder:
        part = _part(store, Path(folder), shown, _largest(val, store.sizes, size))
        setup = TrainingSetup(replace(task, **part), device)
        rows = setup.store.rows([store.ids[row] for row in ordinary])
        rows = rows[[int(row) not in setup.failures for row in rows]]
        found = needs(setup.trainer, rows if len(rows) else setup.data.train[:size])
    return {**asdict(found), "steps": len(order), "train": len(train), "val": len(val)}


def _largest(rows: np.ndarray, sizes: np.ndarray, count: int) -> np.ndarray:
    return rows[np.argsort(-sizes[rows], kind="stable")][:count]


def _part(store: ArrayStore, folder: Path, train: np.ndarray, val: np.ndarray) -> dict[str, Any]:
    """A store of these crystals with a split, as fields of a task."""
    crystals = [store.crystal(int(row)) for row in (*train, *val)]
    part = ArrayStore.open(write_store(folder / "data", "probe", crystals, store.units, {}), verify=False)
    ids = [crystal.id for crystal in crystals]
    kept = max(len(train) - 1, 1)  # a split has a test part, which is not read
    split = Split.of(ids[:kept], ids[len(train) :], ids[kept : len(train)] or ids[-1:], "for measuring")
    save_split(part, split)
    places = {"store": part.path, "folder": folder, "cache": folder / "cache"}
    return {"split": split.hash, **{name: str(place) for name, place in places.items()}}


def main() -> None:
    """Answer until the standard input ends; each task in a fork, which has the imports and nothing else."""
    _say({"ready": True})
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _answer(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if (code := os.waitstatus_to_exitcode(status)) == -signal.SIGKILL:
            _say({"failed": "the system killed its process, most likely for lack of memory"})
        elif code:
            _say({"failed": f"its process ended with exit code {code}"})


def _answer(order: dict) -> None:
    keep_freed_memory()
    torch.set_num_threads(order["threads"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        answer: dict = measure(TrialTask(**order["task"]), device)
        if device == "cuda":
            answer["gpu_mb"] = torch.cuda.get_device_properties(0).total_memory / 1e6
    except Exception as error:
        answer = {"failed": f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"}
    _say(answer)


def _say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
