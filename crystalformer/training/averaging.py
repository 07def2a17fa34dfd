"""Stochastic weight averaging: the equal-weight mean of the weights after every step of the last epochs."""

from torch import nn
from torch.optim.swa_utils import AveragedModel


class WeightAverage:
    """Running mean of a model's parameters and floating-point buffers (Izmailov et al., UAI 2018).

    Running statistics of batch normalisation are averaged with the weights, so no extra pass over the
    data is needed.
    """

    def __init__(self, model: nn.Module) -> None:
        self._average = AveragedModel(model, use_buffers=True)

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
