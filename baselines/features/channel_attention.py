r"""The attention of ComFormer, one channel per feature: a gate between 0 and 1 instead of a softmax.

K. Yan, C. Fu, X. Qian, X. Qian and S. Ji, Complete and Efficient Graph Transformers for Crystal Material
Property Prediction, ICLR 2024, Sec. 4. Each message has a query q, and a key and a value whose three parts
are concatenated; all have C entries:

    k̃ = W_k2 SiLU(z_k) + b_k2,    z_k = W_k1 [k_1 ‖ k_2 ‖ e] + b_k1,    α = q ⊙ k̃ / √C
    m = W_v2 SiLU(z_v) + b_v2,    z_v = W_v1 [v_1 ‖ v_2 ‖ e] + b_v1,    message = m ⊙ σ(BN(α))

There is a message for every edge. Of all that is computed on the way only q, z, k̃ and m are kept for the
backward pass, which finds the rest again.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from baselines.features.counted_norm import CountedNorm
from baselines.features.edge_linear import rows_of


class TwoLayers(nn.Module):
    """W_2 SiLU(z) + b_2 with z = W_1 [a ‖ b ‖ e] + b_1; the blocks of W_1 are applied one by one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(3 * width, width)
        self.second = nn.Linear(width, width)

    def part(self, number: int, layer: nn.Linear, x: Float[Tensor, "rows C"]) -> Float[Tensor, "rows C"]:
        """Block `number` (0 to 2) of W_1 applied to `layer(x)`, with b_1 in the last.

        Two layers with nothing in between are one, whose matrix is multiplied out first.
        """
        block = self.first.weight.chunk(3, dim=1)[number]
        bias = block @ layer.bias if layer.bias is not None else None
        if number == 2:
            bias = self.first.bias if bias is None else self.first.bias + bias
        return F.linear(x, block @ layer.weight, bias)


class ChannelAttention(nn.Module):
    """Messages from queries and from z of key and value."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key_update = TwoLayers(width)
        self.message_update = TwoLayers(width)
        self.attention_norm = CountedNorm(width)

    def forward(
        self,
        q: Float[Tensor, "messages C"],
        z_k: Float[Tensor, "messages C"],
        z_v: Float[Tensor, "messages C"],
        counts: Int[Tensor, " messages"],
    ) -> Float[Tensor, "messages C"]:
        """The messages; `counts` says how often each occurs, for the norm."""
        norm, key, value = self.attention_norm, self.key_update.second, self.message_update.second
        weights = key.weight, key.bias, value.weight, value.bias, norm.weight, norm.bias
        given = (None, None) if self.training else (norm.running_mean, norm.running_var)
        counts = counts.to(q.dtype)
        messages, mean, variance = _Gated.apply(q, z_k, z_v, *weights, counts, *given, norm.eps)
        if self.training:
            norm.update(mean, variance, counts.sum())
        return messages


def sum_of_rows(
    tables: Sequence[Float[Tensor, "_ C"]], rows: Sequence[Int[Tensor, " messages"]]
) -> Float[Tensor, "messages C"]:
    """Σ tables[n][rows[n]]."""
    total = rows_of(tables[0], rows[0])
    for table, of_message in zip(tables[1:], rows[1:], strict=True):
        total += rows_of(table, of_message)
    return total


class _Gated(torch.autograd.Function):
    """m ⊙ σ(γ (α - mean) (variance + ε)^-½ + β), with mean and variance of α where they are not given."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        z_k: Tensor,
        z_v: Tensor,
        w_k: Tensor,
        b_k: Tensor,
        w_v: Tensor,
        b_v: Tensor,
        gamma: Tensor,
        beta: Tensor,
        counts: Tensor,
        mean: Tensor | None,
        variance: Tensor | None,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        k = F.linear(F.silu(z_k), w_k, b_k)
        alpha = (k * q).div_(math.sqrt(q.shape[1]))
        ctx.part = None if mean is not None else counts / counts.sum()
        mean = mean.clone() if mean is not None else ctx.part @ alpha
        alpha -= mean
        variance = variance.clone() if variance is not None else ctx.part @ alpha.square()
        scale = torch.rsqrt(variance + eps)
        gate = torch.addcmul(beta, alpha, gamma * scale).sigmoid_()
        del alpha
        m = F.linear(F.silu(z_v), w_v, b_v)
        ctx.save_for_backward(q, z_k, z_v, k, m, w_k, w_v, gamma, beta, mean, scale)
        ctx.mark_non_differentiable(mean, variance)
        return gate.mul_(m), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        q, z_k, z_v, k, m, w_k, w_v, gamma, beta, mean, scale = ctx.saved_tensors
        normed = (k * q).div_(math.sqrt(q.shape[1])).sub_(mean).mul_(scale)
        gate = torch.addcmul(beta, normed, gamma).sigmoid_()
        grad_v, grad_w_v, grad_b_v = _through(grad * gate, z_v, w_v)
        grad_y = gate.addcmul_(gate, gate, value=-1).mul_(m).mul_(grad)  # y: what the gate is the σ of
        grad_beta, grad_gamma = grad_y.sum(dim=0), (grad_y * normed).sum(dim=0)
        if ctx.part is not None:  # through mean and variance
            grad_y.addr_(ctx.part, grad_beta, alpha=-1)
            grad_y.addcmul_(normed.mul_(ctx.part[:, None]), grad_gamma, value=-1)
        del normed
        grad_y.mul_(gamma * scale / math.sqrt(q.shape[1]))
        grad_q = grad_y * k
        grad_k, grad_w_k, grad_b_k = _through(grad_y.mul_(q), z_k, w_k)
        weights = grad_w_k, grad_b_k, grad_w_v, grad_b_v, grad_gamma, grad_beta
        return grad_q, grad_k, grad_v, *weights, None, None, None, None


def _through(grad: Tensor, z: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of z, W and b from that of W SiLU(z) + b."""
    return torch.ops.aten.silu_backward(grad @ w, z), grad.T @ F.silu(z), grad.sum(dim=0)
