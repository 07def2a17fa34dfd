r"""The messages of PotNet: two small networks of [x_i ‖ x_j ‖ e], one of which gates the other.

With two linear layers of each network, W and b, V and c (gate: prime), and u = W [x_i ‖ x_j ‖ e] + b of
both networks in three parts, A_i + B_j + U_e, which the caller computes once per atom and per edge feature:

    [z' ‖ z] = [V' SiLU(u') + c' ‖ V SiLU(u) + c]
    o_i = Σ w σ(BN(z')) ⊙ z                                                        (over the messages of i)

with a weight w, the number of edges that send this message. The statistics of BN count each of these edges.
See `messages` for the blocks in which all is computed. Of a message, z' and z are kept for the backward pass.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from baselines.features.counted_norm import CountedNorm
from baselines.features.messages import Messages, add_rows, gathered


class GatedMessages(nn.Module):
    """V', c', V, c and BN, and the sum o. See the module's docstring."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.gate = nn.Linear(width, width)
        self.norm = CountedNorm(width)
        self.value = nn.Linear(width, width)

    def forward(
        self,
        a: Float[Tensor, "atoms 2*{self.width}"],
        b: Float[Tensor, "atoms 2*{self.width}"],
        u: Float[Tensor, "features 2*{self.width}"],
        messages: Messages,
    ) -> Float[Tensor, "atoms {self.width}"]:
        """o, differentiable once; a, b and u are those of the gate and of the value, side by side."""
        layers = self.gate.weight, self.gate.bias, self.value.weight, self.value.bias
        gate, value = _Networks.apply(messages, a, b, u, *layers)
        norm, own = self.norm, self.training
        mean, variance = norm.running_mean, norm.running_var
        if own:
            mean, variance = norm.statistics(gate.detach(), messages.weights)
        scale = torch.rsqrt(variance + norm.eps)
        return _GatedSum.apply(messages, own, len(a), gate, value, norm.weight, norm.bias, mean, scale)


class _Networks(torch.autograd.Function):
    """[z' ‖ z] of every message."""

    @staticmethod
    def forward(ctx: Any, messages: Messages, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        a, b, u, *layers = tensors
        width = a.shape[1] // 2
        outputs = [a.new_empty(len(messages.centers), width) for _ in range(2)]
        for block in messages.blocks():
            hidden = F.silu(_first(messages, block, a, b, u), inplace=True).split(width, dim=1)
            for h, weight, bias, output in zip(hidden, layers[::2], layers[1::2], outputs, strict=True):
                torch.addmm(bias, h, weight.T, out=output[block])
        ctx.messages = messages
        ctx.save_for_backward(*tensors)
        return outputs[0], outputs[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        messages, tensors = ctx.messages, ctx.saved_tensors
        a, b, u, *layers = tensors
        results = [torch.zeros_like(tensor) for tensor in tensors]
        d_a, d_b, d_u, *d_layers = results
        width = a.shape[1] // 2
        for block in messages.blocks():
            first = _first(messages, block, a, b, u)
            sigmoid = first.sigmoid()
            hidden = first * sigmoid
            d_hidden = torch.empty_like(hidden)
            for network, grad in enumerate(grads):
                columns = slice(network * width, (network + 1) * width)
                d_layers[2 * network].addmm_(grad[block].T, hidden[:, columns])
                d_layers[2 * network + 1].add_(grad[block].sum(0))
                torch.mm(grad[block], layers[2 * network], out=d_hidden[:, columns])
            d_hidden *= sigmoid.addcmul_(hidden, 1 - sigmoid)  # SiLU' = σ + u σ (1 - σ)
            add_rows(d_a, messages.centers[block], d_hidden)
            add_rows(d_b, messages.neighbors[block], d_hidden)
            add_rows(d_u, messages.edges[block], d_hidden)
        return None, *results


def _first(messages: Messages, block: slice, a: Tensor, b: Tensor, u: Tensor) -> Tensor:
    """A_i + B_j + U_e of a block."""
    result = gathered(a, messages.centers[block])
    result += gathered(b, messages.neighbors[block])
    result += gathered(u, messages.edges[block])
    return result


class _GatedSum(torch.autograd.Function):
    """o from z' and z, mean and 1/σ of z'; these depend on z' where they are those of the batch."""

    @staticmethod
    def forward(ctx: Any, messages: Messages, own: bool, atoms: int, *tensors: Tensor) -> Tensor:
        gate, value, gain, shift, mean, scale = tensors
        result = gate.new_zeros(atoms, gate.shape[1])
        for block in messages.blocks():
            normed = (gate[block] - mean).mul_(gain * scale).add_(shift)
            m = normed.sigmoid_().mul_(value[block]).mul_(messages.weights[block, None])
            add_rows(result, messages.centers[block], m)
        ctx.messages, ctx.own = messages, own
        ctx.save_for_backward(*tensors)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        messages = ctx.messages
        gate, value, gain, shift, mean, scale = ctx.saved_tensors
        grad = grad.contiguous()
        d_gate, d_value = torch.empty_like(gate), torch.empty_like(value)
        d_gain, d_shift = torch.zeros_like(gain), torch.zeros_like(shift)
        for block in messages.blocks():
            y = (gate[block] - mean).mul_(scale)
            sigmoid = torch.addcmul(shift, y, gain).sigmoid_()
            dm = gathered(grad, messages.centers[block]).mul_(messages.weights[block, None])
            torch.mul(dm, sigmoid, out=d_value[block])
            # σ' = σ (1 - σ)
            torch.mul(dm.mul_(value[block]), sigmoid.addcmul_(sigmoid, sigmoid, value=-1), out=d_gate[block])
            d_gain += (d_gate[block] * y).sum(0)
            d_shift += d_gate[block].sum(0)
        _norm_backward(messages, ctx.own, d_gate, gate, (gain, mean, scale), (d_gain, d_shift))
        return None, None, None, d_gate, d_value, d_gain, d_shift, None, None


def _norm_backward(
    messages: Messages,
    own: bool,
    d_gate: Tensor,
    gate: Tensor,
    norm: Sequence[Tensor],
    sums: Sequence[Tensor],
) -> None:
    """Turns the gradients by BN(z') into those by z', in place.

    With y = (z' - mean)/σ and the gradients G by BN(z'), whose sums over all messages are those by shift and
    gain: gain/σ (G - w/N (ΣG + y ΣGy)), N the number of edges; the second part only where mean and σ are
    those of the batch.
    """
    gain, mean, scale = norm
    d_gain, d_shift = sums
    total = messages.weights.sum()
    for block in messages.blocks():
        if own:
            y = (gate[block] - mean).mul_(scale)
            common = torch.addcmul(d_shift, y, d_gain)
            d_gate[block].addcmul_(common, messages.weights[block, None] / total, value=-1)
        d_gate[block].mul_(gain * scale)
