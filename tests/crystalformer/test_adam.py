"""The optimisers against their formulas, in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from crystalformer.training.config import TrainConfig
from crystalformer.training.optimizers import build_optimizer

STEPS = 5


def trained(optimizer, dtype, gradients):
    """Weight and bias of a linear layer after some steps with these gradients, and those before."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2).to(dtype)
    start = [p.detach().double().numpy().copy() for p in model.parameters()]
    config = TrainConfig(optimizer=optimizer, lr=0.01, beta1=0.8, beta2=0.95, weight_decay=0.1)
    steps = build_optimizer(model, config)
    for each in gradients:
        for parameter, gradient in zip(model.parameters(), each, strict=True):
            parameter.grad = torch.from_numpy(gradient).to(dtype)
        steps.step()
    return start, [p.detach().double().numpy() for p in model.parameters()]


def adam(weight, gradients, decay, decoupled):
    """Kingma & Ba 2015, Algorithm 1; decoupled: Loshchilov & Hutter 2019, Algorithm 2."""
    m = v = 0.0
    for t, gradient in enumerate(gradients, start=1):
        if decoupled:
            weight = weight - 0.01 * decay * weight
        else:
            gradient = gradient + decay * weight
        m, v = 0.8 * m + 0.2 * gradient, 0.95 * v + 0.05 * gradient**2
        weight = weight - 0.01 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8)
    return weight


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_steps_follow_the_formulas_and_biases_are_not_decayed(optimizer, dtype, tolerance):
    rng = np.random.default_rng(0)
    gradients = [(rng.normal(size=(2, 3)), rng.normal(size=2)) for _ in range(STEPS)]
    start, found = trained(optimizer, dtype, gradients)
    for index, decay in enumerate((0.1, 0.0)):
        expected = adam(start[index], [g[index] for g in gradients], decay, optimizer == "adamw")
        np.testing.assert_allclose(found[index], expected, rtol=0, atol=tolerance)
