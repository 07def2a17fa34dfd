"""Averages of the weights: over the last epochs with equal weight (SWA), or exponentially decaying (EMA)."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class WeightAverage:
    """Running mean of a model's parameters, updated after each step; buffers are the model's present ones.

    Without `ema_decay` every step counts the same (stochastic weight averaging, Izmailov et al., UAI 2018).
    With it the average moves by 1 - d of the way to the present weights, where d = min(ema_decay,
    (1 + t) / (10 + t)) after t earlier steps: the start is soon forgotten however short the run.

    Running statistics of batch normalisation are those of the model's weights, not of the average: see
    `batch_statistics`.
    """

    def __init__(self, model: nn.Module, ema_decay: float = 0.0) -> None:
        self._average = AveragedModel(model)
        self._ema_decay, self._steps = ema_decay, 0

    @property
    def module(self) -> nn.Module:
        """The averaged model."""
        return self._average.module

    @property
    def steps(self) -> int:
        """Number of steps averaged so far."""
        return self._steps

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's present weights into the mean.

        The host knows how many there were, so that it does not wait for the device to tell it.
        """
        t = self._steps
        share = 1 - min(self._ema_decay, (1 + t) / (10 + t)) if self._ema_decay else 1 / (t + 1)
        share = share if t else 1.0
        torch._foreach_lerp_(list(self.module.parameters()), list(model.parameters()), share)
        for ours, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)
        self._steps += 1

    def state(self) -> dict:
        """What `load_state` needs to go on: the averaged weights and the number of steps."""
        self._average.n_averaged.fill_(self._steps)
        return self._average.state_dict()

    def load_state(self, state: dict) -> None:
        """Take over what `state` gave."""
        self._average.load_state_dict(state)
        self._steps = int(self._average.n_averaged)
