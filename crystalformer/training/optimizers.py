"""Optimisers by name, and the learning rate as a function of the step."""

import math
from collections.abc import Callable

from torch import nn, optim

from crystalformer.training.config import TrainConfig


# `fused`: one pass over all numbers, on CPUs and GPUs; a third of the time of the default on a CPU.
def _adamw(groups: list[dict], config: TrainConfig) -> optim.Optimizer:
    return optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def _adam(groups: list[dict], config: TrainConfig) -> optim.Optimizer:
    return optim.Adam(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def _sgd(groups: list[dict], config: TrainConfig) -> optim.Optimizer:
    return optim.SGD(groups, lr=config.lr, momentum=config.beta1)


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
    """Learning rate of step t = 0, 1, ...: lr sqrt(T / (T + t)), held while weights are averaged.

    A function of the step alone, so that a resumed run needs no scheduler state. During the averaged
    (SWA) epochs the rate stays at the value reached when they began (Crystalformer, Sec. 5.1).
    """
    if config.schedule == "constant":
        return config.lr
    last = steps_per_epoch * (config.epochs - config.averaged_epochs)
    t = min(step, last)
    return config.lr * math.sqrt(config.schedule_steps / (config.schedule_steps + t))
