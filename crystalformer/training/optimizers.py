"""Optimisers by name, and the learning rate as a function of the step."""

import math
from collections.abc import Callable

from torch import nn, optim

from crystalformer.training.config import TrainConfig


# `fused`: one operation, a third of the time of the default on a CPU; on a GPU it reads everything, the
# learning rate too, from the device, so that the host waits for nothing and a CUDA graph can hold it.
def _adamw(groups: list[dict], config: TrainConfig) -> optim.Optimizer:
    betas = (config.beta1, config.beta2)
    return optim.AdamW(groups, lr=config.lr, betas=betas, fused=True, capturable=_on_gpu(groups))


def _adam(groups: list[dict], config: TrainConfig) -> optim.Optimizer:
    betas = (config.beta1, config.beta2)
    return optim.Adam(groups, lr=config.lr, betas=betas, fused=True, capturable=_on_gpu(groups))


def _sgd(groups: list[dict], config: TrainConfig) -> optim.Optimizer:
    return optim.SGD(groups, lr=config.lr, momentum=config.beta1, fused=True)


def _on_gpu(groups: list[dict]) -> bool:
    return all(p.is_cuda for group in groups for p in group["params"])


_OPTIMIZERS: dict[str, Callable[[list[dict], TrainConfig], optim.Optimizer]] = {
    "adamw": _adamw,
    "adam": _adam,
    "sgd": _sgd,
}


def build_optimizer(model: nn.Module, config: TrainConfig) -> optim.Optimizer:
    """The optimiser of `config` over the trainable parameters, biases without weight decay.

    Parameters whose name contains "bias" are not decayed, as in the released Crystalformer code.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in named if "bias" not in name], "weight_decay": config.weight_decay},
        {"params": [p for name, p in named if "bias" in name], "weight_decay": 0.0},
    ]
    return _OPTIMIZERS[config.optimizer]([group for group in groups if group["params"]], config)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Learning rate of step t = 0, 1, ..., held while weights are averaged with equal weight.

    A function of the step alone, so that a resumed run needs no scheduler state. During the averaged
    (SWA) epochs the rate stays at the value reached when they began (Crystalformer, Sec. 5.1).
    """
    t = min(step, steps_per_epoch * (config.epochs - config.averaged_epochs))
    return _SCHEDULES[config.schedule](config, t, steps_per_epoch)


def _inverse_sqrt(config: TrainConfig, t: int, steps_per_epoch: int) -> float:
    return config.lr * math.sqrt(config.schedule_steps / (config.schedule_steps + t))


def _constant(config: TrainConfig, t: int, steps_per_epoch: int) -> float:
    return config.lr


def _one_cycle(config: TrainConfig, t: int, steps_per_epoch: int) -> float:
    """From lr/25 to lr and down to lr/250,000 along cosines: the cycle of PyTorch's OneCycleLR."""
    start, end = config.lr / 25, config.lr / 250_000
    last = max(config.epochs * steps_per_epoch - 1, 1)
    peak = config.warmup * (last + 1) - 1
    if t <= peak:
        return _cosine(start, config.lr, t / peak if peak > 0 else 1.0)
    return _cosine(config.lr, end, (t - peak) / (last - peak))


def _cosine(first: float, last: float, part: float) -> float:
    return last + (first - last) / 2 * (1 + math.cos(math.pi * part))


def _linear(config: TrainConfig, t: int, steps_per_epoch: int) -> float:
    part = t / (config.epochs * steps_per_epoch)
    return config.lr + (config.lr_end - config.lr) * part


def _step(config: TrainConfig, t: int, steps_per_epoch: int) -> float:
    passed = 0 < config.milestone <= t // steps_per_epoch
    return config.lr * (config.step_factor if passed else 1.0)


_SCHEDULES: dict[str, Callable[[TrainConfig, int, int], float]] = {
    "inverse_sqrt": _inverse_sqrt,
    "constant": _constant,
    "one_cycle": _one_cycle,
    "linear": _linear,
    "step": _step,
}
