r"""The messages of Matformer: a gate for every feature, from queries, keys and the edge. No softmax.

For a message from atom j to atom i along an edge with features e, and for each head of width C:

    α = [q_i ‖ q_i ‖ q_i] ⊙ [k_i ‖ k_j ‖ e]                                        (3C; q is scaled already)
    m = LN_C(W_m (u ⊙ σ(LN_3C(α))) + b_m),   u = A_i + B_j + U_e                   (C)
    o_i = Σ w m                                                                     (over the messages of i)

with a weight w, the number of edges that send this message. u is W_u [v_i ‖ v_j ‖ e] + b_u in three parts,
which the caller computes once per atom and once per edge length.

All this is computed in blocks, see `messages`; and again in the backward pass instead of being kept, but for
W_m (...) + b_m.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from baselines.features.messages import Messages, add_rows, gathered


class VectorAttention(nn.Module):
    """LN_3C, W_m, b_m and LN_C, shared by all heads, and the sum o. See the module's docstring."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_norm = nn.LayerNorm(3 * width)
        self.linear = nn.Linear(3 * width, width)
        self.message_norm = nn.LayerNorm(width)

    def forward(
        self,
        q: Float[Tensor, "atoms heads C"],
        k: Float[Tensor, "atoms heads C"],
        e: Float[Tensor, "features heads C"],
        a: Float[Tensor, "atoms heads 3*C"],
        b: Float[Tensor, "atoms heads 3*C"],
        u: Float[Tensor, "features heads 3*C"],
        messages: Messages,
    ) -> Float[Tensor, "atoms heads C"]:
        """o, differentiable once."""
        parameters = (
            *(self.gate_norm.weight, self.gate_norm.bias, self.linear.weight, self.linear.bias),
            *(self.message_norm.weight, self.message_norm.bias),
        )
        return _Attend.apply(messages, q, k, e, a, b, u, *parameters)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, messages: Messages, *tensors: Tensor) -> Tensor:
        tensors = tuple(tensor.contiguous() for tensor in tensors)
        inputs, gate_norm, (weight, bias), message_norm = _grouped(tensors)
        result = torch.zeros_like(inputs[0])
        z = result.new_empty(len(messages.centers), *result.shape[1:])
        for block in messages.blocks():
            _, gate, value, _ = _gated(messages, block, inputs, gate_norm)
            torch.addmm(bias, value.mul_(gate).flatten(0, 1), weight.T, out=z[block].flatten(0, 1))
            m, *_ = _norm(z[block], message_norm)
            add_rows(result, messages.centers[block], m.mul_(messages.weights[block, None, None]))
        ctx.messages = messages
        ctx.save_for_backward(*tensors, z)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, z = ctx.saved_tensors
        messages, grad = ctx.messages, grad.contiguous()
        inputs, gate_norm, (weight, _), message_norm = _grouped(tensors)
        grads = [torch.zeros_like(tensor) for tensor in tensors]
        d_inputs, d_gate_norm, (d_weight, d_bias), d_message_norm = _grouped(grads)
        for block in messages.blocks():
            alpha, gate, value, gate_statistics = _gated(messages, block, inputs, gate_norm)
            dm = gathered(grad, messages.centers[block]).mul_(messages.weights[block, None, None])
            _, *statistics = _norm(z[block], message_norm)
            dz = _norm_backward(dm, z[block], statistics, message_norm, d_message_norm).flatten(0, 1)
            h = (value * gate).flatten(0, 1)
            d_weight.addmm_(dz.T, h)
            d_bias += dz.sum(0)
            d_value = torch.mm(dz, weight, out=h).view_as(value).mul_(gate)  # h is done with
            d_gate = value.mul_(d_value).addcmul_(value, gate, value=-1)  # σ' = σ (1 - σ)
            d_alpha = _norm_backward(d_gate, alpha, gate_statistics, gate_norm, d_gate_norm)
            _scatter(messages, block, inputs, d_alpha, d_value, d_inputs)
        return None, *grads


def _grouped(tensors: Sequence[Tensor]) -> tuple[Sequence[Tensor], ...]:
    """q, k, e, A, B and U; gain and shift of LN_3C; W_m and b_m; gain and shift of LN_C."""
    return tensors[:6], tensors[6:8], tensors[8:10], tensors[10:]


def _gated(
    messages: Messages, block: slice, inputs: Sequence[Tensor], gate_norm: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """α, σ(LN(α)) and A_i + B_j + U_e of a block, each (messages, heads, 3C), and the statistics of LN."""
    q, k, e, a, b, u = inputs
    i, j, d = messages.centers[block], messages.neighbors[block], messages.edges[block]
    alpha = a.new_empty(len(i), *a.shape[1:])
    own, sent, edge = alpha.split(q.shape[2], dim=2)
    q_i = gathered(q, i)
    torch.mul(q_i, gathered(k, i), out=own)
    torch.mul(q_i, gathered(k, j), out=sent)
    torch.mul(q_i, gathered(e, d), out=edge)
    value = gathered(a, i)
    value += gathered(b, j)
    value += gathered(u, d)
    gate, *statistics = _norm(alpha, gate_norm)
    return alpha, gate.sigmoid_(), value, statistics


def _scatter(
    messages: Messages,
    block: slice,
    inputs: Sequence[Tensor],
    d_alpha: Tensor,
    d_value: Tensor,
    grads: Sequence[Tensor],
) -> None:
    """Adds the gradients by α and u of a block's messages to those by q, k, e, A, B and U."""
    q, k, e = inputs[:3]
    i, j, d = messages.centers[block], messages.neighbors[block], messages.edges[block]
    d_q, d_k, d_e, d_a, d_b, d_u = grads
    for target, rows in ((d_a, i), (d_b, j), (d_u, d)):
        add_rows(target, rows, d_value)
    own, sent, edge = d_alpha.split(q.shape[2], dim=2)
    by_q = own * gathered(k, i)
    by_q.addcmul_(sent, gathered(k, j)).addcmul_(edge, gathered(e, d))
    add_rows(d_q, i, by_q)
    q_i = gathered(q, i)
    for target, rows, part in ((d_k, i, own), (d_k, j, sent), (d_e, d, edge)):
        add_rows(target, rows, part * q_i)


def _norm(x: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The layer norm of x (messages, heads, width), with the mean and 1/σ of each."""
    gain, shift = parameters
    return torch.native_layer_norm(x, x.shape[2:], gain, shift, 1e-5)


def _norm_backward(
    grad: Tensor,
    x: Tensor,
    statistics: Sequence[Tensor],
    parameters: Sequence[Tensor],
    d_parameters: Sequence[Tensor],
) -> Tensor:
    """The gradient by x; those by the parameters are added to `d_parameters`."""
    d_x, d_gain, d_shift = torch.ops.aten.native_layer_norm_backward(
        grad, x, x.shape[2:], *statistics, *parameters, [True, True, True]
    )
    d_parameters[0].add_(d_gain)
    d_parameters[1].add_(d_shift)
    return d_x
