"""Optimisers by name; learning rate and momentum as functions of the step."""

import inspect
import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn, optim

from crystalformer.training.config import TrainConfig

Optimizer = TypeVar("Optimizer", bound=optim.Optimizer)


def _eager(optimizer: type[Optimizer]) -> type[Optimizer]:
    """The optimiser without what PyTorch wraps its methods in for `torch.compile`, which has the compiler
    imported even where nothing is compiled: 2.7 s and 74 MB in each process that trains.
    """
    names = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in names}
    step = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), {**methods, "step": step})


_AdamW, _Adam, _SGD = _eager(optim.AdamW), _eager(optim.Adam), _eager(optim.SGD)


# `fused`: one operation, a third of the time of the default on a CPU; on a GPU it reads everything, the
# learning rate too, from the device, so that the host waits for nothing and a CUDA graph can hold it.
def _adamw(groups: list[dict], config: TrainConfig) -> optim.Optimizer:
    betas = (config.beta1, config.beta2)
    return _AdamW(groups, lr=config.lr, betas=betas, fused=True, capturable=_on_gpu(groups))


def _adam(groups: list[dict], config: TrainConfig) -> optim.Optimizer:
    betas = (config.beta1, config.beta2)
    return _Adam(groups, lr=config.lr, betas=betas, fused=True, capturable=_on_gpu(groups))


def _sgd(groups: list[dict], config: TrainConfig) -> optim.Optimizer:
    return _SGD(groups, lr=config.lr, momentum=config.beta1, fused=True)


def _on_gpu(groups: list[dict]) -> bool:
    return all(p.is_cuda for group in groups for p in group["params"])


_OPTIMIZERS: dict[str, Callable[[list[dict], TrainConfig], optim.Optimizer]] = {
    "adamw": _adamw,
    "adam": _adam,
    "sgd": _sgd,
}


# Of PyTorch's OneCycleLR, whose default is to cycle.
_HIGH_MOMENTUM, _LOW_MOMENTUM = 0.95, 0.85


def build_optimizer(model: nn.Module, config: TrainConfig) -> optim.Optimizer:
    """The optimiser of `config` over the trainable parameters, biases without weight decay.

    Parameters whose name contains "bias" are not decayed, as in the released Crystalformer code. Without
    `decay_norms`, as in the released ALIGNN, Matformer and ComFormer codes, neither are the parameters of
    normalisation layers: of modules whose class name contains "Norm".
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    norms = set() if config.decay_norms else _of_norms(model)
    spared = {name for name, _ in named if "bias" in name} | norms
    groups = [
        {"params": [p for name, p in named if name not in spared], "weight_decay": config.weight_decay},
        {"params": [p for name, p in named if name in spared], "weight_decay": 0.0},
    ]
    return _OPTIMIZERS[config.optimizer]([group for group in groups if group["params"]], config)


def _of_norms(model: nn.Module) -> set[str]:
    """Names of the parameters that belong to normalisation layers themselves."""
    layers = [(name, layer) for name, layer in model.named_modules() if "Norm" in type(layer).__name__]
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, layer in layers
        for name, _ in layer.named_parameters(recurse=False)
    }


def set_step(optimizer: optim.Optimizer, lr: float, momentum: float) -> None:
    """Set learning rate and momentum (beta1 of Adam) of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        else:
            group["momentum"] = momentum


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Learning rate of step t = 0, 1, ..., held while weights are averaged with equal weight.

    A function of the step alone, so that a resumed run needs no scheduler state. During the averaged
    (SWA) epochs the rate stays at the value reached when they began (Crystalformer, Sec. 5.1).
    """
    return _SCHEDULES[config.schedule](config, _held(config, step, steps_per_epoch), steps_per_epoch)


def momentum(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Momentum of step t = 0, 1, ...: beta1, unless the one_cycle schedule cycles it; held as the rate is.

    From 0.95 to 0.85 and back along cosines, the cycle of PyTorch's OneCycleLR.
    """
    if not config.cycles_momentum:
        return config.beta1
    rising, part = _part_of_cycle(config, _held(config, step, steps_per_epoch), steps_per_epoch)
    first, last = (_HIGH_MOMENTUM, _LOW_MOMENTUM) if rising else (_LOW_MOMENTUM, _HIGH_MOMENTUM)
    return _cosine(first, last, part)


def _held(config: TrainConfig, step: int, steps_per_epoch: int) -> int:
    """The step whose rate counts: during the averaged epochs, the one they began with."""
    return min(step, steps_per_epoch * (config.epochs - config.averaged_epochs))


def _inverse_sqrt(config: TrainConfig, t: int, steps_per_epoch: int) -> float:
    return config.lr * math.sqrt(config.schedule_steps / (config.schedule_steps + t))


def _constant(config: TrainConfig, t: int, steps_per_epoch: int) -> float:
    return config.lr


def _one_cycle(config: TrainConfig, t: int, steps_per_epoch: int) -> float:
    """From lr/25 to lr and down to lr/250,000 along cosines: the cycle of PyTorch's OneCycleLR."""
    rising, part = _part_of_cycle(config, t, steps_per_epoch)
    return (
        _cosine(config.lr / 25, config.lr, part) if rising else _cosine(config.lr, config.lr / 250_000, part)
    )


def _part_of_cycle(config: TrainConfig, t: int, steps_per_epoch: int) -> tuple[bool, float]:
    """Whether the rate of one_cycle still rises in step t, and which part of the rise or fall is done."""
    last = max(config.epochs * steps_per_epoch - 1, 1)
    peak = config.warmup * (last + 1) - 1
    if t <= peak:
        return True, t / peak if peak > 0 else 1.0
    return False, (t - peak) / (last - peak)


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
