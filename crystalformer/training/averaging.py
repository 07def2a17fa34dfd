"""Averages of the weights: over the last epochs with equal weight (SWA), or exponentially decaying (EMA)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Tensors = tuple[Tensor, ...] | list[Tensor]


class WeightAverage:
    """Running mean of a model's parameters and floating-point buffers, updated after each step.

    Without `ema_decay` every step counts the same (stochastic weight averaging, Izmailov et al., UAI 2018).
    With it the average moves by 1 - d of the way to the present weights, where d = min(ema_decay,
    (1 + t) / (10 + t)) after t earlier steps: the start is soon forgotten however short the run.

    Running statistics of batch normalisation are averaged with the weights, so no extra pass over the
    data is needed.
    """

    def __init__(self, model: nn.Module, ema_decay: float = 0.0) -> None:
        update = _exponential(ema_decay) if ema_decay else None
        self._average = AveragedModel(model, multi_avg_fn=update, use_buffers=True)

    @property
    def module(self) -> nn.Module:
        """The averaged model."""
        return self._average.module

    @property
    def steps(self) -> int:
        """Number of steps averaged so far."""
        return int(self._average.n_averaged)

    def update(self, model: nn.Module) -> None:
        """Take the model's present weights into the mean."""
        self._average.update_parameters(model)

    def state(self) -> dict:
        return self._average.state_dict()

    def load_state(self, state: dict) -> None:
        self._average.load_state_dict(state)


def _exponential(ema_decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    @torch.no_grad()
    def update(averages: _Tensors, weights: _Tensors, earlier_steps: Tensor | int) -> None:
        t = torch.as_tensor(earlier_steps)
        share = 1 - ((1 + t) / (10 + t)).clamp(max=ema_decay)
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight, share.to(average.dtype))
            else:
                average.copy_(weight)

    return update
