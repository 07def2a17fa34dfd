"""The training loop: one epoch at a time, so that stopping is simply not asking for the next.

`Trainer` receives a built model and never learns its name. All randomness comes from `seed`: weights are
drawn by the caller after `torch.manual_seed(seed)`, the order of crystals is a function of seed and epoch.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.loader import EpochOrder, evaluation_batches
from crystalformer.data.targets import TargetScaler
from crystalformer.metrics import mae
from crystalformer.training.averaging import WeightAverage
from crystalformer.training.config import TrainConfig
from crystalformer.training.evaluate import predict
from crystalformer.training.optimizers import build_optimizer, learning_rate, momentum, set_step

_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "mse": F.mse_loss,
    "smooth_l1": F.smooth_l1_loss,
}


class Diverged(RuntimeError):
    """The loss or the validation error is no longer a finite number."""


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch did. Errors are in the target's unit."""

    epoch: int  # from 1
    train_mae: float  # mean over the epoch's batches, each before its step
    val_mae: float  # of the weights that would be kept if training ended here
    val_mae_raw: float  # of the last step's weights
    lr: float  # of the last step
    grad_norm: float  # mean over steps, before clipping
    crystals_per_s: float  # training alone
    seconds: float  # training alone
    eval_seconds: float


@dataclass(frozen=True)
class TrainingData:
    """Where batches come from: `make_batch(rows)`, the rows of each part, their targets and sizes."""

    make_batch: Callable[[np.ndarray], CrystalBatch]
    train: np.ndarray  # (train crystals,) store rows
    val: np.ndarray  # (validation crystals,) store rows
    values: np.ndarray  # (crystals of the store,) target in its unit
    sizes: np.ndarray  # (crystals of the store,) atoms per cell
    scaler: TargetScaler


class Trainer:
    """A model in training; `run_epoch` trains one epoch and evaluates it.

    Attributes:
        epoch: epochs done so far.
        average: the weight average (SWA or EMA), None before the first epoch that enters it.
    """

    def __init__(
        self, model: nn.Module, data: TrainingData, config: TrainConfig, seed: int, device: str = "cpu"
    ) -> None:
        self.model = model.to(device)
        self.data = data
        self.config = config
        self.device = device
        self.optimizer = build_optimizer(self.model, config)
        self.order = EpochOrder(data.train, config.batch_size, seed)
        self.steps_per_epoch = len(self.order.epoch(0))
        self.val_batches = evaluation_batches(data.val, config.batch_size, data.sizes)
        self.average: WeightAverage | None = None
        self.epoch = 0
        self.last_record: EpochRecord | None = None

    @property
    def finished(self) -> bool:
        return self.epoch >= self.config.epochs

    @property
    def kept_model(self) -> nn.Module:
        """The weights that are kept: the average where there is one, else the last step's."""
        return self.model if self.average is None else self.average.module

    def __iter__(self) -> Iterator[EpochRecord]:
        while not self.finished:
            yield self.run_epoch()

    def run_epoch(self) -> EpochRecord:
        """Train one epoch and evaluate it.

        Raises:
            Diverged: a loss or the validation error is NaN or infinite.
        """
        averaging = self.config.averages(self.epoch)
        if averaging and self.average is None:
            self.average = WeightAverage(self.model, self.config.ema_decay)
        started = time.perf_counter()
        errors, norms, crystals, lr = 0.0, 0.0, 0, self.config.lr
        self.model.train()
        for step, indices in enumerate(self.order.epoch(self.epoch)):
            t = self.epoch * self.steps_per_epoch + step
            lr = learning_rate(self.config, t, self.steps_per_epoch)
            set_step(self.optimizer, lr, momentum(self.config, t, self.steps_per_epoch))
            error, norm = self._step(self.data.make_batch(indices))
            if averaging and self.average is not None:
                self.average.update(self.model)
            errors += error * len(indices)
            norms += norm
            crystals += len(indices)
        seconds = time.perf_counter() - started
        self.epoch += 1
        val_raw = self._validate(self.model)
        val_kept = val_raw if self.average is None else self._validate(self.average.module)
        self.last_record = EpochRecord(
            epoch=self.epoch,
            train_mae=errors / crystals,
            val_mae=val_kept,
            val_mae_raw=val_raw,
            lr=lr,
            grad_norm=norms / self.steps_per_epoch,
            crystals_per_s=crystals / seconds,
            seconds=seconds,
            eval_seconds=time.perf_counter() - started - seconds,
        )
        return self.last_record

    def _step(self, batch: CrystalBatch) -> tuple[float, float]:
        """One optimiser step; its mean absolute error in the target's unit and its gradient norm."""
        batch = batch.to(self.device)
        prediction = self.model(batch)
        loss = _LOSSES[self.config.loss](prediction, batch.targets)
        if not math.isfinite(loss.item()):
            raise Diverged(f"the training loss is {loss.item()} in epoch {self.epoch + 1}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        bound = self.config.clip_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), bound)
        self.optimizer.step()
        error = (prediction.detach() - batch.targets).abs().mean().item()
        return error * self.data.scaler.stds[0], norm.item()

    def _validate(self, model: nn.Module) -> float:
        rows, predictions = predict(
            model, self.data.make_batch, self.val_batches, self.data.scaler, self.device
        )
        if not np.isfinite(predictions).all():
            raise Diverged(f"a validation prediction is not finite after epoch {self.epoch}")
        return mae(self.data.values[rows], predictions[:, 0])
