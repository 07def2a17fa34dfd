"""The training loop: one epoch at a time, so that stopping is simply not asking for the next.

`Trainer` receives a built model and never learns its name. All randomness comes from `seed`: weights are
drawn by the caller after `torch.manual_seed(seed)`, the order of crystals is a function of seed and epoch.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn
from torch.nn import functional as F

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.loader import EpochOrder
from crystalformer.data.targets import TargetScaler
from crystalformer.metrics import mae
from crystalformer.training.averaging import WeightAverage
from crystalformer.training.batch_gradient import BatchGradient, clipped_norm
from crystalformer.training.batch_statistics import estimate_statistics
from crystalformer.training.config import TrainConfig
from crystalformer.training.device_steps import DeviceSteps, Loss, resident
from crystalformer.training.evaluate import Evaluation
from crystalformer.training.optimizers import build_optimizer, learning_rate, momentum, set_step
from crystalformer.training.passes import Passes
from crystalformer.training.ranks import Ranks

_LOSSES: dict[str, Loss] = {"l1": F.l1_loss, "mse": F.mse_loss, "smooth_l1": F.smooth_l1_loss}


def _nothing() -> None:
    """What is done after a step where no average is taken."""


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
    train: Int[np.ndarray, " train"]  # store rows
    val: Int[np.ndarray, " val"]  # store rows
    values: Float[np.ndarray, " crystals"]  # of the store: the target in its unit
    sizes: Int[np.ndarray, " crystals"]  # of the store: atoms per cell
    scaler: TargetScaler


class Trainer:
    """A model in training; `run_epoch` trains one epoch and evaluates it.

    `on_device` keeps the crystals on the device and captures the steps (`device_steps`), where the model
    allows it and batches are taken as a whole; None: on CUDA devices. The results agree with those of the
    usual loop but for rounding. `ranks` are the processes that train this model together, each with a trainer
    of its own; None: this one alone.

    Attributes:
        epoch: epochs done so far.
        average: the weight average (SWA or EMA), None before the first epoch that enters it.
    """

    def __init__(
        self,
        model: nn.Module,
        data: TrainingData,
        config: TrainConfig,
        seed: int,
        device: str = "cpu",
        on_device: bool | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.model = model.to(device)
        self.data = data
        self.config = config
        self.device = device
        whole = ranks is None and config.micro_batch is None
        self.on_device = whole and (torch.device(device).type == "cuda" if on_device is None else on_device)
        self.optimizer = build_optimizer(self.model, config)
        self.order = EpochOrder(data.train, config.batch_size, seed)
        self.steps_per_epoch = len(self.order.epoch(0))
        self._passes = Passes(config.micro_batch, data.sizes, device)
        self._gradient = BatchGradient(
            self.model, data.make_batch, data.sizes, _LOSSES[config.loss], device, self._passes, ranks
        )
        self._evaluation = Evaluation(
            data.val, data.sizes, data.scaler, config.batch_size, self._passes, device, ranks
        )
        self._ranks = ranks
        self.average: WeightAverage | None = None
        self.epoch = 0
        self.last_record: EpochRecord | None = None
        self._make_batch = data.make_batch
        self._device_steps: DeviceSteps | None = None
        self._until = config.epochs
        self._changes: Mapping[int, TrainConfig] = {}

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done."""
        return self.epoch >= self._until

    def follow(self, changes: Mapping[int, TrainConfig], until: int | None = None) -> None:
        """Have the configuration change after some epochs (`CHANGEABLE` alone), and end after `until`."""
        self._changes = {0: self.config, **changes}
        self._until = self.config.epochs if until is None else until

    @property
    def crystals_at_once(self) -> int:
        """Crystals of one pass through the model, in training and prediction, at most."""
        return min(self.config.batch_size, self._passes.most or self.config.batch_size)

    def bound_passes(self, crystals: int) -> None:
        """Begin with passes of so many crystals, as if memory had been short before."""
        self._passes.most = crystals

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
        if self.on_device and self._device_steps is None:
            self._move_data()
        self._take_config()
        averaging = self.config.averages(self.epoch)
        if averaging and self.average is None:
            self.average = WeightAverage(self.model, self.config.ema_decay)
        started = time.perf_counter()
        order = self.order.epoch(self.epoch)
        first = self.epoch * self.steps_per_epoch
        rates = [learning_rate(self.config, first + t, self.steps_per_epoch) for t in range(len(order))]
        self.model.train()
        after = self._take_average if averaging else _nothing
        if self._device_steps is None:
            momenta = [momentum(self.config, first + t, self.steps_per_epoch) for t in range(len(order))]
            steps = list(zip(order, rates, momenta, strict=True))
            train_mae, norm = self._train(steps, after)
        else:
            train_mae, norm = self._train_on_device(order, rates, after)
        crystals = sum(len(indices) for indices in order)
        seconds = time.perf_counter() - started
        self.epoch += 1
        val_raw = self._validate(self.model)
        val_kept = val_raw if self.average is None else self._validate_average(order)
        self.last_record = EpochRecord(
            epoch=self.epoch,
            train_mae=train_mae,
            val_mae=val_kept,
            val_mae_raw=val_raw,
            lr=rates[-1],
            grad_norm=norm,
            crystals_per_s=crystals / seconds,
            seconds=seconds,
            eval_seconds=time.perf_counter() - started - seconds,
        )
        return self.last_record

    def try_batches(self, batches: list[Int[np.ndarray, " _"]]) -> None:
        """Take a step with each of these batches, as an epoch would, for measurements.

        On a device that captures steps the batches must have as many crystals as those of training.
        """
        if self.on_device and self._device_steps is None:
            self._move_data()
        self.model.train()
        rate = learning_rate(self.config, 0, self.steps_per_epoch)
        if self._device_steps is not None:
            self._device_steps.run(batches, [rate] * len(batches), _nothing).tolist()  # waits for the device
            return
        self._train(
            [(rows, rate, momentum(self.config, 0, self.steps_per_epoch)) for rows in batches], _nothing
        )

    def _train(
        self, steps: list[tuple[np.ndarray, float, float]], after: Callable[[], None]
    ) -> tuple[float, float]:
        """The steps of an epoch: store rows, learning rate and momentum of each.

        Gives the mean absolute error in the target's unit and the mean gradient norm.
        """
        errors, norms, crystals = 0.0, 0.0, 0
        for indices, lr, beta in steps:
            set_step(self.optimizer, lr, beta)
            error, norm = self._step(indices)
            after()
            errors += error * len(indices)
            norms += norm
            crystals += len(indices)
        return errors / crystals, norms / len(steps)

    def _train_on_device(
        self, order: list[np.ndarray], rates: list[float], after: Callable[[], None]
    ) -> tuple[float, float]:
        """`_train` where the host waits for the device only once, at the end."""
        assert self._device_steps is not None
        errors, norms, losses = self._device_steps.run(order, rates, after).tolist()
        if not math.isfinite(losses):
            raise Diverged(f"a training loss is not finite in epoch {self.epoch + 1}")
        return errors / len(order) * self.data.scaler.stds[0], norms / len(order)

    def _move_data(self) -> None:
        """Keeps the data set on the device from now on, where model, schedule and memory allow it."""
        rows = np.concatenate([self.data.train, self.data.val])
        device = torch.device(self.device)
        batches = None
        if not self.config.cycles_momentum:  # a captured step has the momentum it was captured with
            batches = resident(self.data.make_batch, self.model, rows, device)
        if batches is None:
            self.on_device = False
            return
        loss = _LOSSES[self.config.loss]
        self._device_steps = DeviceSteps(
            self.model, batches, self.data.train, self.optimizer, self.config, loss
        )
        self._make_batch = batches

    def _take_config(self) -> None:
        """Go on with the configuration of this epoch; the state of the optimiser stays."""
        begun = [epoch for epoch in self._changes if epoch <= self.epoch]
        if not begun or (config := self._changes[max(begun)]) == self.config:
            return
        self.config, state = config, self.optimizer.state_dict()["state"]
        self.optimizer = build_optimizer(self.model, config)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.forget_device_steps()

    def forget_device_steps(self) -> None:
        """Has the data set moved and the steps captured again: graphs hold on to the tensors of the state."""
        self._device_steps, self._make_batch = None, self.data.make_batch

    def _take_average(self) -> None:
        if self.average is not None:
            self.average.update(self.model)

    def _step(self, indices: np.ndarray) -> tuple[float, float]:
        """One optimiser step; its mean absolute error in the target's unit and its gradient norm."""
        loss, error = self._gradient(indices)
        if not math.isfinite(loss):
            raise Diverged(f"the training loss is {loss} in epoch {self.epoch + 1}")
        norm = clipped_norm(self.model, self.config.clip_norm)
        self.optimizer.step()
        return error * self.data.scaler.stds[0], norm

    def _validate(self, model: nn.Module) -> float:
        rows, predictions = self._evaluation(model, self._make_batch)
        if not np.isfinite(predictions).all():
            raise Diverged(f"a validation prediction is not finite after epoch {self.epoch}")
        return mae(self.data.values[rows], predictions[:, 0])

    def _validate_average(self, batches: list[np.ndarray]) -> float:
        """The validation error of the average, once it has seen these batches of training crystals."""
        model = self.kept_model
        estimate_statistics(model, batches, self._make_batch, self._passes, self.device, self._ranks)
        return self._validate(model)
