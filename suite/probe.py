"""What a configuration needs, found out by taking a step: the largest crystals first.

Nothing is estimated from formulas. A training step with the largest crystals of the training split in one
batch and an evaluation give the memory, a second step with an ordinary batch the time.
"""

import ctypes
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from crystalformer.training.evaluate import predict
from crystalformer.training.loop import Trainer
from suite.costs import peak_memory_mb, reset_peak_memory, timed


@dataclass(frozen=True)
class Needs:
    """What was measured of a configuration.

    Attributes:
        memory_mb: of the process at its peak; on a CUDA device, that its allocator took there.
        added_mb: of it, what model, optimiser and batches added.
        step_s: a training step with an ordinary batch.
        predict_s: a crystal's prediction.
        checkpoint_mb, weights_mb: files that a running trial and a final run keep.
    """

    memory_mb: float
    added_mb: float
    step_s: float
    predict_s: float
    checkpoint_mb: float
    weights_mb: float


def needs(trainer: Trainer, ordinary: np.ndarray | None = None) -> Needs:
    """Measure with a trainer that is not used for anything else afterwards.

    `ordinary` are the store rows of an ordinary batch; None: the first of training.
    """
    data, device = trainer.data, trainer.device
    by_size = data.train[np.argsort(-data.sizes[data.train], kind="stable")]
    if ordinary is None:
        ordinary = trainer.order.epoch(0)[0]
    evaluated = [data.val[np.argsort(-data.sizes[data.val], kind="stable")][: trainer.crystals_at_once]]
    _trim()
    reset_peak_memory(device)
    before = peak_memory_mb(device)
    trainer.try_batches([by_size[: len(ordinary)]])
    predict(trainer.model, data.make_batch, evaluated, data.scaler, device)
    # What the allocator took is more than what tensors had: it keeps fragments, and captured steps their own.
    memory = torch.cuda.max_memory_reserved(device) / 1e6 if _is_cuda(device) else peak_memory_mb(device)
    trainer.try_batches([ordinary])  # compiles or captures what an ordinary batch needs
    _, step_s = timed(lambda: trainer.try_batches([ordinary]))
    _, predict_s = timed(lambda: predict(trainer.model, data.make_batch, evaluated, data.scaler, device))
    weights = _megabytes(trainer.model.state_dict())
    moments = sum(_megabytes(state) for state in trainer.optimizer.state.values())
    averages = trainer.config.ema_decay or trainer.config.averaged_epochs
    return Needs(
        memory_mb=memory,
        added_mb=memory if _is_cuda(device) else max(memory - before, 0.0),
        step_s=step_s,
        predict_s=predict_s / len(evaluated[0]),
        checkpoint_mb=weights * (2 if averages else 1) + moments,
        weights_mb=weights,
    )


def _is_cuda(device: str) -> bool:
    return torch.device(device).type == "cuda"


def _megabytes(state: Mapping[str, object]) -> float:
    return sum(each.nbytes for each in state.values() if isinstance(each, torch.Tensor)) / 1e6


def _trim() -> None:
    """Have the C library give freed memory back, so that it is not taken for used."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
