"""`TrainConfig`: how a model is trained, whatever the model.

The defaults are the recipe of Crystalformer (Taniai et al., ICLR 2024, Sec. 5.1 and the released
configuration), which serves as the common recipe of a comparison.
"""

from dataclasses import dataclass
from typing import Literal

LOSSES = ("l1", "mse", "smooth_l1")
OPTIMIZERS = ("adamw", "adam", "sgd")
# What may change between epochs: numbers of the optimiser, none of which the state or the averages depend on.
CHANGEABLE = (
    "lr",
    "weight_decay",
    "clip_norm",
    "beta1",
    "beta2",
    "lr_end",
    "step_factor",
    "schedule_steps",
)
SCHEDULES = ("inverse_sqrt", "constant", "one_cycle", "linear", "step")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    epochs: int = 500
    batch_size: int = 128  # crystals of one step
    # crystals of one pass, whose gradients are added up until the batch is whole; "auto": the batch, and half
    # as many whenever memory is short
    micro_batch: int | Literal["auto"] | None = None
    lr: float = 5e-4
    loss: Literal["l1", "mse", "smooth_l1"] = "l1"  # on targets as `scale_targets` says
    scale_targets: bool = True  # by mean and standard deviation of the training targets; False: in their unit
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    beta1: float = 0.9  # of Adam; the momentum of SGD
    beta2: float = 0.98
    weight_decay: float = 1e-5  # not applied to biases
    decay_norms: bool = True  # whether it is applied to the weights of normalisation layers
    schedule: Literal["inverse_sqrt", "constant", "one_cycle", "linear", "step"] = "inverse_sqrt"
    schedule_steps: int = 4000  # T of inverse_sqrt: lr sqrt(T / (T + t)) in step t
    warmup: float = 0.3  # of one_cycle: the part of all steps in which the rate grows
    # of one_cycle: beta1 goes from 0.95 to 0.85 while the rate grows, and back; False: it stays
    cycle_momentum: bool = True
    lr_end: float = 0.0  # of linear: the rate after the last step
    milestone: int = 0  # of step: the epoch from which on the rate is lr times step_factor; 0: never
    step_factor: float = 0.1
    clip_norm: float = 1.0  # bound on the gradient norm; 0 switches clipping off
    # weights averaged over the last epochs (SWA); None: a tenth of them, or 0 where there is an EMA
    swa_epochs: int | None = None
    ema_decay: float = 0.0  # of an exponential average over all steps (EMA); 0: none

    def __post_init__(self) -> None:
        _check(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        _check(self.batch_size >= 1, "batch_size", "at least 1 crystal", self.batch_size)
        micro = self.micro_batch
        whole = micro is None or micro == "auto" or (isinstance(micro, int) and micro >= 1)
        _check(whole, "micro_batch", "auto or at least 1 crystal", micro)
        _check(self.lr > 0, "lr", "above 0", self.lr)
        _check(self.loss in LOSSES, "loss", f"one of {', '.join(LOSSES)}", self.loss)
        _check(self.optimizer in OPTIMIZERS, "optimizer", f"one of {', '.join(OPTIMIZERS)}", self.optimizer)
        _check(0 <= self.beta1 < 1, "beta1", "in [0, 1)", self.beta1)
        _check(0 <= self.beta2 < 1, "beta2", "in [0, 1)", self.beta2)
        _check(self.weight_decay >= 0, "weight_decay", "at least 0", self.weight_decay)
        _check(self.schedule in SCHEDULES, "schedule", f"one of {', '.join(SCHEDULES)}", self.schedule)
        _check(self.schedule_steps >= 1, "schedule_steps", "at least 1 step", self.schedule_steps)
        _check(0 < self.warmup < 1, "warmup", "in (0, 1)", self.warmup)
        _check(0 <= self.lr_end <= self.lr, "lr_end", f"from 0 to the lr of {self.lr}", self.lr_end)
        _check(self.milestone >= 0, "milestone", "at least 0 epochs", self.milestone)
        _check(0 < self.step_factor <= 1, "step_factor", "in (0, 1]", self.step_factor)
        _check(self.clip_norm >= 0, "clip_norm", "at least 0", self.clip_norm)
        _check(
            self.swa_epochs is None or 0 <= self.swa_epochs <= self.epochs,
            "swa_epochs",
            f"from 0 to the {self.epochs} epochs of the run",
            self.swa_epochs,
        )
        _check(0 <= self.ema_decay < 1, "ema_decay", "in [0, 1)", self.ema_decay)
        both = bool(self.ema_decay) and bool(self.swa_epochs)
        _check(
            not both,
            "ema_decay",
            f"0 beside an average of {self.swa_epochs} epochs (swa_epochs)",
            self.ema_decay,
        )

    @property
    def averaged_epochs(self) -> int:
        """Number of last epochs whose weights are averaged with equal weight (SWA); 0 for none."""
        if self.swa_epochs is None:
            return 0 if self.ema_decay else self.epochs // 10
        return self.swa_epochs

    @property
    def cycles_momentum(self) -> bool:
        """Whether beta1 changes from step to step."""
        return self.schedule == "one_cycle" and self.cycle_momentum

    def averages(self, epoch: int) -> bool:
        """Whether the weights of this epoch, counted from 0, enter an average."""
        return bool(self.ema_decay) or epoch >= self.epochs - self.averaged_epochs


def _check(holds: bool, name: str, expected: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
