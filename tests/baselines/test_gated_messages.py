"""PotNet's messages and their gradients against the formulas on every single edge, by autograd."""

import pytest
import torch
import torch.nn.functional as F

from baselines.features import messages as message_blocks
from baselines.features.gated_messages import GatedMessages
from baselines.features.messages import Messages

WIDTH, ATOMS, FEATURES, MESSAGES = 5, 6, 4, 15


def example() -> tuple[list[torch.Tensor], Messages]:
    torch.manual_seed(0)
    tensors = [torch.randn(rows, 2 * WIDTH, dtype=torch.float64) for rows in (ATOMS, ATOMS, FEATURES)]
    i = torch.randint(ATOMS - 1, (MESSAGES,)).sort().values  # the last atom receives nothing
    j, e = torch.randint(ATOMS, (MESSAGES,)), torch.randint(FEATURES, (MESSAGES,))
    return tensors, Messages(i, j, e, torch.randint(1, 4, (MESSAGES,)).double())


def layer() -> GatedMessages:
    torch.manual_seed(1)
    result = GatedMessages(WIDTH).double()
    for value in result.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand_like(value))
    return result


def plain(layer: GatedMessages, norm: torch.nn.BatchNorm1d, messages: Messages, a, b, u) -> torch.Tensor:
    edges = torch.repeat_interleave(messages.weights.long())  # one by one
    i, j, e = (part[edges] for part in messages[:3])
    hidden = F.silu(a[i] + b[j] + u[e])
    gate = norm(layer.gate(hidden[:, :WIDTH])).sigmoid()
    return a.new_zeros(len(a), WIDTH).index_add(0, i, gate * layer.value(hidden[:, WIDTH:]))


@pytest.mark.parametrize("limit", [1, 4, 1000])
@pytest.mark.parametrize("training", [False, True])
def test_values_and_gradients_are_those_of_the_formulas(monkeypatch, limit, training) -> None:
    monkeypatch.setattr(message_blocks, "BLOCK", limit)
    tensors, messages = example()
    ours = layer().train(training)
    norm = torch.nn.BatchNorm1d(WIDTH).double().train(training)
    norm.load_state_dict(ours.norm.state_dict())
    inputs = [tensor.requires_grad_() for tensor in tensors]
    result, expected = ours(*inputs, messages), plain(ours, norm, messages, *inputs)
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-12)
    for name, value in norm.named_buffers():
        torch.testing.assert_close(ours.norm.get_buffer(name), value)
    layers = [*ours.gate.parameters(), *ours.value.parameters()]
    weights = torch.randn_like(expected)
    found = torch.autograd.grad((result * weights).sum(), [*inputs, *layers, *ours.norm.parameters()])
    wanted = torch.autograd.grad((expected * weights).sum(), [*inputs, *layers, *norm.parameters()])
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-11)
