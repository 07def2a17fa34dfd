r"""The messages of Matformer: a gate for every feature, from queries, keys and the edge. No softmax.

For a message from atom j to atom i along an edge with features e, and for each head of width C:

    α = [q_i ‖ q_i ‖ q_i] ⊙ [k_i ‖ k_j ‖ e]                                        (3C; q is scaled already)
    m = LN_C(W_m (u ⊙ σ(LN_3C(α))) + b_m),   u = A_i + B_j + U_e                   (C)
    o_i = Σ w m                                                                     (over the messages of i)

with a weight w, the number of edges that send this message. u is W_u [v_i ‖ v_j ‖ e] + b_u in three parts,
which the caller computes once per atom and once per edge length.

A batch of 64 crystals has 20,000 messages of 4 heads and 3C = 384 entries, 130 MB for each of a dozen
intermediate values. They are computed in blocks of crystals that fit into a processor's cache; the backward
pass computes them again instead of reading them from memory, all but W_m (...) + b_m.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from baselines.features.edge_linear import rows_of

BLOCK = 256  # messages that are computed at once, on a CPU: 1.5 MB per intermediate value
LARGE_BLOCK = 32768  # elsewhere


class Block(NamedTuple):
    """Crystals that are computed at once: their atoms, messages and edge features, all contiguous."""

    atoms: slice
    messages: slice
    edges: slice


class Messages(NamedTuple):
    """Who sends to whom; sorted by i, and so by crystal.

    | field | shape | meaning |
    |---|---|---|
    | `centers`, `neighbors` | (messages,) int64 | atoms i and j, of one crystal |
    | `edges` | (messages,) int64 | row of the edge's features; each row belongs to one crystal |
    | `weights` | (messages,) floating | w |
    | `blocks` | - | see `blocks_of` |
    """

    centers: Tensor
    neighbors: Tensor
    edges: Tensor
    weights: Tensor
    blocks: list[Block]


def blocks_of(atoms: Tensor, messages: Tensor, edges: Tensor) -> list[Block]:
    """Cuts a batch between crystals, given how many of each there are per crystal, each (crystals,)."""
    limit = BLOCK if atoms.device.type == "cpu" else LARGE_BLOCK
    blocks, start, stop = [], [0, 0, 0], [0, 0, 0]
    for counts in torch.stack([atoms, messages, edges], dim=1).tolist():
        if stop[1] > start[1] and stop[1] + counts[1] - start[1] > limit:
            blocks.append(Block(*map(slice, start, stop)))
            start = stop
        stop = [done + count for done, count in zip(stop, counts, strict=True)]
    return [*blocks, Block(*map(slice, start, stop))]


class VectorAttention(nn.Module):
    """LN_3C, W_m, b_m and LN_C, shared by all heads, and the sum o. See the module's docstring."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_norm = nn.LayerNorm(3 * width)
        self.linear = nn.Linear(3 * width, width)
        self.message_norm = nn.LayerNorm(width)

    def forward(
        self, q: Tensor, k: Tensor, e: Tensor, a: Tensor, b: Tensor, u: Tensor, messages: Messages
    ) -> Tensor:
        """o, (atoms, heads, C), differentiable once.

        Args:
            q, k: (atoms, heads, C).
            e: (edges, heads, C).
            a, b: (atoms, heads, 3C).
            u: (edges, heads, 3C).
        """
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
        result = torch.empty_like(inputs[0])
        z = result.new_empty(len(messages.centers), *result.shape[1:])
        for block in messages.blocks:
            i, *_ = _neighborhood(messages, block)
            _, gate, value, _ = _gated(messages, block, inputs, gate_norm)
            here = z[block.messages]
            torch.addmm(bias, value.mul_(gate).flatten(0, 1), weight.T, out=here.flatten(0, 1))
            m, *_ = _norm(here, message_norm)
            m.mul_(messages.weights[block.messages, None, None])
            result[block.atoms] = _summed(m, i, len(result[block.atoms]))
        ctx.messages = messages
        ctx.save_for_backward(*tensors, z)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, z = ctx.saved_tensors
        messages = ctx.messages
        inputs, gate_norm, (weight, _), message_norm = _grouped(tensors)
        grads = [torch.zeros_like(tensor) for tensor in tensors]
        d_inputs, d_gate_norm, (d_weight, d_bias), d_message_norm = _grouped(grads)
        for block in messages.blocks:
            i, *_ = _neighborhood(messages, block)
            alpha, gate, value, gate_statistics = _gated(messages, block, inputs, gate_norm)
            here = z[block.messages]
            dm = _rows(grad[block.atoms], i).mul_(messages.weights[block.messages, None, None])
            _, *statistics = _norm(here, message_norm)
            dz = _norm_backward(dm, here, statistics, message_norm, d_message_norm).flatten(0, 1)
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
    messages: Messages, block: Block, inputs: Sequence[Tensor], gate_norm: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """α, σ(LN(α)) and A_i + B_j + U_e of a block, each (messages, heads, 3C), and the statistics of LN."""
    q, k, e, a, b, u = inputs
    i, j, d = _neighborhood(messages, block)
    width = q.shape[2]
    q_atoms = q[block.atoms]
    alpha = a.new_empty(len(i), *a.shape[1:])
    own, sent, edge = alpha.split(width, dim=2)
    q_i = _rows(q_atoms, i)
    own.copy_(_rows(q_atoms * k[block.atoms], i))
    torch.mul(q_i, _rows(k[block.atoms], j), out=sent)
    torch.mul(q_i, _rows(e[block.edges], d), out=edge)
    value = _rows(a[block.atoms], i)
    value += _rows(b[block.atoms], j)
    value += _rows(u[block.edges], d)
    gate, *statistics = _norm(alpha, gate_norm)
    return alpha, gate.sigmoid_(), value, statistics


def _scatter(
    messages: Messages,
    block: Block,
    inputs: Sequence[Tensor],
    d_alpha: Tensor,
    d_value: Tensor,
    grads: Sequence[Tensor],
) -> None:
    """Adds up the gradients by α and u of a block's messages into those by q, k, e, a, b and u."""
    q, k, e = inputs[0][block.atoms], inputs[1][block.atoms], inputs[2][block.edges]
    i, j, d = _neighborhood(messages, block)
    d_q, d_k, d_e, d_a, d_b, d_u = grads
    d_a[block.atoms] = _summed(d_value, i, len(q))
    d_b[block.atoms] = _summed(d_value, j, len(q))
    d_u[block.edges] = _summed(d_value, d, len(e))
    own, sent, edge = d_alpha.split(q.shape[2], dim=2)
    q_i = _rows(q, i)
    d_own = _summed(own, i, len(q))
    d_k[block.atoms] = (d_own * q).add_(_summed(sent * q_i, j, len(q)))
    d_e[block.edges] = _summed(edge * q_i, d, len(e))
    from_both = (sent * _rows(k, j)).add_(edge * _rows(e, d))
    d_q[block.atoms] = (d_own * k).add_(_summed(from_both, i, len(q)))


def _neighborhood(messages: Messages, block: Block) -> tuple[Tensor, Tensor, Tensor]:
    """i, j and the row of e of a block's messages, counted within the block."""
    i, j, d = (table[block.messages] for table in (messages.centers, messages.neighbors, messages.edges))
    return i - block.atoms.start, j - block.atoms.start, d - block.edges.start


def _rows(values: Tensor, rows: Tensor) -> Tensor:
    return rows_of(values.flatten(1), rows).view(len(rows), *values.shape[1:])


def _summed(values: Tensor, rows: Tensor, size: int) -> Tensor:
    """Sum of the values (messages, heads, width) for each of `size` rows, in a fixed order."""
    flat = values.reshape(len(values), -1)
    summed = torch.ops.aten.embedding_dense_backward(flat, rows, size, -1, False)
    return summed.view(size, *values.shape[1:])


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
