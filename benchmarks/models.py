"""Cost of every model: `python -m benchmarks.models [--json] [--models a,b] [--repeat N] [--threads N]`.

| name | unit | meaning |
|---|---|---|
| `name` | - | key of the registry |
| `step_s` | s | a training step: forward, L1 loss, backward, clipping and AdamW; median |
| `predict_ms_per_crystal` | ms | prediction, in one batch; median |
| `peak_mb` | MB | largest memory of both, the interpreter and PyTorch included; on a GPU, memory of tensors |
| `parameters` | - | trainable |

Every model has its published configuration and is trained by the loop of the suite with the common recipe, on
one fixed batch of 64 real crystals of 13 atoms on average, in float32; each in a process of its own. Graphs
are built beforehand, batches are cut anew in each step, as in training.
"""

import argparse
import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.batch import fixed_store, random_targets
from crystalformer.allocator import keep_freed_memory
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.targets import TargetScaler
from crystalformer.training.config import TrainConfig
from crystalformer.training.loop import Trainer, TrainingData
from suite.costs import peak_memory_mb, reset_peak_memory, timed_predictions
from suite.registry import MODELS
from suite.registry_table import parameter_count

CRYSTALS = 64
SEED = 481  # gives 832 atoms, 13 per crystal; 2 to 48 of them
WARM_UP = 3  # steps
KEYS = ("name", "step_s", "predict_ms_per_crystal", "peak_mb", "parameters")


def model_store(folder: Path) -> ArrayStore:
    """The 64 crystals, as an array store below `folder`."""
    return fixed_store(folder, "mp-elastic-2015", CRYSTALS, SEED)


def measure(key: str, repeat: int, threads: int | None = None, device: str = "cpu") -> dict[str, object]:
    """The cost of one model, see the module's table; the peak of memory is that of this process."""
    keep_freed_memory()  # as the trials do
    if threads:
        torch.set_num_threads(threads)
    with TemporaryDirectory() as folder:
        store = model_store(Path(folder))
        trainer = model_trainer(key, store, Path(folder), device)
        reset_peak_memory(device)
        steps = [trainer.run_epoch().seconds for _ in range(WARM_UP + repeat)]  # an epoch is one step
        rows = np.arange(len(store))
        predictions = [timed_predictions(trainer, trainer.model, rows)[2] for _ in range(1 + repeat)]
        return {
            "name": key,
            "step_s": median(steps[WARM_UP:]),
            "predict_ms_per_crystal": 1000 * median(predictions[1:]) / len(store),
            "peak_mb": round(peak_memory_mb(device), 1),
            "parameters": parameter_count(trainer.model),
        }


def model_trainer(key: str, store: ArrayStore, cache: Path, device: str = "cpu") -> Trainer:
    """A model with its published configuration, about to be trained on all crystals in one batch."""
    entry, rows = MODELS[key], np.arange(len(store))
    config, targets = entry.config(), random_targets(store)
    batches = entry.batches(store, targets, config, cache)
    torch.manual_seed(0)
    model = entry.build(config).to(device)
    entry.calibrate(model, batches(rows).to(device))
    data = TrainingData(
        make_batch=batches,
        train=rows,
        val=rows[:1],
        values=targets[:, 0],
        sizes=store.sizes,
        scaler=TargetScaler((0.0,), (1.0,), (None,)),
    )
    recipe = TrainConfig(epochs=100_000, batch_size=len(store), swa_epochs=0)
    return Trainer(model, data, recipe, seed=0, device=device)


def measure_apart(
    keys: Sequence[str], repeat: int, threads: int | None, device: str
) -> list[dict[str, object]]:
    """`measure` of each model, one after the other, each in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        return [pool.submit(measure, key, repeat, threads, device).result() for key in keys]


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models", description=(__doc__ or "").split(":")[0]
    )
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.add_argument("--models", default=",".join(MODELS), help="keys of the registry (default: all)")
    parser.add_argument("--repeat", type=int, default=10, help="steps and predictions (default: 10)")
    parser.add_argument("--threads", type=int, help="PyTorch's default if not given")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    options = parser.parse_args(arguments)
    keys = options.models.split(",")
    if unknown := [key for key in keys if key not in MODELS]:
        parser.error(f"--models: expected some of {','.join(MODELS)}, got {','.join(unknown)}")
    if options.repeat < 1:
        parser.error(f"--repeat: expected at least 1, got {options.repeat}")
    results = measure_apart(keys, options.repeat, options.threads, options.device)
    if options.json:
        print(json.dumps(results))
        return
    print(("{:>14}" + "{:>24}" * 4).format(*KEYS))
    for row in results:
        print(("{:>14}" + "{:>24.5g}" * 3 + "{:>24,}").format(*(row[key] for key in KEYS)))


if __name__ == "__main__":
    main()
