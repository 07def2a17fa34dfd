"""Rows that stand for several equal ones give what all of them would give."""

import math

import pytest
import torch
import torch.nn.functional as F

from baselines.features.channel_attention import ChannelAttention
from baselines.features.counted_norm import CountedNorm
from baselines.features.distinct import distinct


def test_distinct_rows_are_found_in_order() -> None:
    atoms = torch.tensor([1, 0, 1, 1, 0])
    lengths = torch.tensor([2.5, -0.0, 2.5, 1.0, 0.0])
    found = distinct(atoms, lengths)
    assert atoms[found.first].tolist() == [0, 1, 1]
    assert lengths[found.first].tolist() == [0.0, 1.0, 2.5]
    assert found.of.tolist() == [2, 0, 2, 1, 0]
    assert found.counts.tolist() == [2, 1, 2]


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("training", [True, False])
def test_a_norm_counts_rows_as_often_as_they_occur(training, momentum) -> None:
    torch.manual_seed(0)
    counts = torch.tensor([1, 4, 2, 1, 3])
    norm, plain = (
        kind(3, momentum=momentum).double().train(training) for kind in (CountedNorm, torch.nn.BatchNorm1d)
    )
    for _ in range(2):
        x = torch.randn(5, 3).double()
        expected = plain(x.repeat_interleave(counts, dim=0))
        torch.testing.assert_close(norm(x, counts).repeat_interleave(counts, dim=0), expected)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[name], value)
    torch.testing.assert_close(norm(x), plain(x))


def test_a_norm_leaves_its_statistics_where_there_is_one_row() -> None:
    norm = CountedNorm(3)
    x = torch.randn(1, 3)
    torch.testing.assert_close(norm(x, torch.ones(1)), norm(x))
    assert torch.equal(norm.running_mean, torch.zeros(3))


@pytest.mark.parametrize("training", [True, False])
def test_messages_and_their_gradients_are_those_of_single_operations(training) -> None:
    torch.manual_seed(0)
    module = ChannelAttention(4).double().train(training)
    norm = module.attention_norm
    for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        torch.nn.init.uniform_(value, 0.5, 1.5)
    plain = torch.nn.BatchNorm1d(4).double().train(training)
    plain.load_state_dict(norm.state_dict())
    plain.weight, plain.bias = norm.weight, norm.bias
    counts = torch.tensor([1, 3, 2, 1, 1, 4])
    inputs = [torch.randn(6, 4).double().requires_grad_() for _ in range(3)]

    q, z_k, z_v = (x.repeat_interleave(counts, dim=0) for x in inputs)
    alpha = q * module.key_update.second(F.silu(z_k)) / math.sqrt(4)
    expected = module.message_update.second(F.silu(z_v)) * torch.sigmoid(plain(alpha))
    result = module(*inputs, counts).repeat_interleave(counts, dim=0)
    torch.testing.assert_close(result, expected)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(norm.state_dict()[name], plain.state_dict()[name])

    weights = torch.randn_like(expected)
    layers = module.key_update.second, module.message_update.second, norm
    parameters = [*inputs, *(p for layer in layers for p in layer.parameters())]
    for ours, theirs in zip(
        torch.autograd.grad((result * weights).sum(), parameters),
        torch.autograd.grad((expected * weights).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
