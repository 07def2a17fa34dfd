"""Matformer's messages and their gradients against the formulas on concatenated features, by autograd."""

import math

import pytest
import torch
import torch.nn.functional as F

from baselines.features import messages as message_blocks
from baselines.features.messages import Messages
from baselines.features.vector_attention import VectorAttention

HEADS, WIDTH = 2, 5
ATOMS, MESSAGES, EDGES = [3, 1, 4, 2], [7, 2, 0, 6], [2, 1, 1, 3]  # the third crystal receives nothing


def example() -> tuple[list[torch.Tensor], Messages]:
    torch.manual_seed(0)
    shapes = [(sum(ATOMS), WIDTH)] * 2 + [(sum(EDGES), WIDTH)] + [(sum(ATOMS), 3 * WIDTH)] * 2
    shapes += [(sum(EDGES), 3 * WIDTH)]
    tensors = [torch.randn(rows, HEADS, width, dtype=torch.float64) for rows, width in shapes]
    i, j, d = [], [], []
    for crystal, count in enumerate(MESSAGES):
        i.append(torch.randint(ATOMS[crystal], (count,)).sort().values + sum(ATOMS[:crystal]))
        j.append(torch.randint(ATOMS[crystal], (count,)) + sum(ATOMS[:crystal]))
        d.append(torch.randint(EDGES[crystal], (count,)) + sum(EDGES[:crystal]))
    weights = torch.randint(1, 4, (sum(MESSAGES),)).double()
    return tensors, Messages(torch.cat(i), torch.cat(j), torch.cat(d), weights)


def layer() -> VectorAttention:
    torch.manual_seed(1)
    result = VectorAttention(WIDTH).double()
    for parameter in result.parameters():
        parameter.data.add_(torch.rand_like(parameter))
    return result


def plain(attention: VectorAttention, messages: Messages, q, k, e, a, b, u) -> torch.Tensor:
    i, j, d = messages.centers, messages.neighbors, messages.edges
    gate_norm, message_norm = attention.gate_norm, attention.message_norm
    alpha = torch.cat([q[i], q[i], q[i]], dim=2) * torch.cat([k[i], k[j], e[d]], dim=2)
    gate = F.layer_norm(alpha, alpha.shape[2:], gate_norm.weight, gate_norm.bias).sigmoid()
    m = attention.linear(gate * (a[i] + b[j] + u[d]))
    m = F.layer_norm(m, m.shape[2:], message_norm.weight, message_norm.bias)
    return torch.zeros_like(q).index_add(0, i, m * messages.weights[:, None, None])


@pytest.mark.parametrize("limit", [1, 4, 1000])
def test_values_and_gradients_are_those_of_the_formulas(monkeypatch, limit) -> None:
    monkeypatch.setattr(message_blocks, "BLOCK", limit)
    tensors, messages = example()
    assert len(messages.blocks()) == {1: 15, 4: 4, 1000: 1}[limit]
    attention = layer()
    inputs = [tensor.requires_grad_() for tensor in tensors]
    expected, result = plain(attention, messages, *inputs), attention(*inputs, messages)
    torch.testing.assert_close(result, expected, rtol=1e-11, atol=1e-12)
    wanted = [*inputs, *attention.parameters()]
    weights = torch.randn_like(expected)
    ours = torch.autograd.grad((result * weights).sum(), wanted)
    theirs = torch.autograd.grad((expected * weights).sum(), wanted)
    for mine, other in zip(ours, theirs, strict=True):
        assert other.abs().max() > 1e-3
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-11)


def test_a_gate_without_scale_is_a_half() -> None:
    tensors, messages = example()
    attention = layer()
    with torch.no_grad():
        attention.gate_norm.weight.zero_()
        attention.gate_norm.bias.zero_()
    result = attention(*tensors, messages)
    changed = [torch.randn_like(tensor) for tensor in tensors[:3]]
    assert torch.equal(attention(*changed, *tensors[3:], messages), result)
    with torch.no_grad():
        attention.gate_norm.bias.fill_(math.inf)  # the gate is 1
        attention.linear.weight.div_(2)
    torch.testing.assert_close(attention(*tensors, messages), result)
