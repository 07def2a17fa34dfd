"""Layers in NumPy, for oracles of models; they share no code with the models."""

from typing import Any

import numpy as np
import torch


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


class NumpyLayers:
    """Layers with the weights of a model, by name; `training`: norms use the statistics of the batch."""

    def __init__(self, model: torch.nn.Module, training: bool) -> None:
        self.state = {name: value.double().numpy() for name, value in model.state_dict().items()}
        self.config: Any = model.config
        self.training = training

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.state[f"{name}.weight"].T + self.state.get(f"{name}.bias", 0.0)

    def batch_norm(self, name: str, x: np.ndarray) -> np.ndarray:
        mean, variance = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        if self.training:
            mean, variance = x.mean(axis=0), x.var(axis=0)
        x = (x - mean) / np.sqrt(variance + 1e-5)
        return x * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]


def randomise_norms(model: torch.nn.Module) -> None:
    """Moves weights and statistics of all norms from their initial values, so that each of them counts."""
    for name, value in model.state_dict().items():
        if "norm" in name and value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5)
