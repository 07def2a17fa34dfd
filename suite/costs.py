"""What a model costs in time and memory, measured the same way in final runs and in `benchmarks.models`.

Time of training is `EpochRecord.seconds` of the loop; the rest is here.
"""

import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from crystalformer.data.loader import evaluation_batches
from crystalformer.training.evaluate import predict
from crystalformer.training.loop import Trainer

T = TypeVar("T")


def timed_predictions(
    trainer: Trainer, model: nn.Module, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Predictions of `model`, which `trainer` trained, for these store rows, and the seconds they take.

    Cutting the batches counts, building the graphs (done before) does not.

    Returns:
        Store rows (crystals,) in the order of prediction; predictions (crystals, targets) in physical units;
        seconds.
    """
    data = trainer.data
    batches = evaluation_batches(rows, trainer.crystals_at_once, data.sizes)
    (order, predicted), seconds = timed(
        lambda: predict(model, data.make_batch, batches, data.scaler, trainer.device)
    )
    return order, predicted, seconds


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` gives, and the seconds it takes."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def device_name(device: torch.device | str) -> str:
    """`cpu`, or what a CUDA device calls itself."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "cpu"


def reset_peak_memory(device: torch.device | str = "cpu") -> None:
    """Start a new measurement of `peak_memory_mb`, where the system allows it (Linux; CUDA devices)."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: torch.device | str = "cpu") -> float:
    """Largest memory since the last reset (else since the start of the process), in MB.

    Resident memory of this process; for a CUDA device, memory of tensors there.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
