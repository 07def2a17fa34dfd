r"""SiLU(BN(x)), with nothing kept for the backward pass but x.

A row r may stand for c_r equal ones; N = Σ_r c_r. With g the gradient of a loss by the result:

    μ = Σ_r c_r x_r / N,   s² = Σ_r c_r (x_r - μ)² / N,   x̂ = (x - μ) / √(s² + ε),   y = γ x̂ + β
    h = g SiLU'(y),   dβ = Σ_r h_r,   dγ = Σ_r h_r x̂_r,   dx_r = γ / √(s² + ε) (h_r - c_r (dβ + x̂_r dγ) / N)

The rows are visited in portions that stay in the cache of a CPU: x is read twice each way, and no array of
its size is made beside the result.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.features.counted_norm import CountedNorm

PORTION = 2**17  # numbers, on a CPU


class NormSiLU(CountedNorm):
    """`CountedNorm`, then SiLU; a single row has no variance and is normalised by the running statistics."""

    def forward(
        self,
        input: Float[Tensor, "rows width"],
        counts: Float[Tensor, " rows"] | None = None,
        skip: Float[Tensor, "rows width"] | None = None,
    ) -> Float[Tensor, "rows width"]:
        """SiLU(BN(x)), plus `skip` where there is one.

        Args:
            input: x.
            counts: how many equal rows of the batch each row stands for; without, one each.
            skip: what is added.
        """
        own = self.training and len(input) > 1
        mean, variance = self.running_mean, self.running_var
        if own:
            total = float(len(input) if counts is None else counts.sum())
            mean, variance = moments(input.detach(), counts)
            self.update(mean, variance, total)
        return _NormSiLU.apply(input, self.weight, self.bias, mean, variance + self.eps, counts, skip, own)


def moments(
    x: Float[Tensor, "rows width"], counts: Float[Tensor, " rows"] | None
) -> tuple[Float[Tensor, " width"], Float[Tensor, " width"]]:
    """Mean and variance of the columns, by portions; merged in float64."""
    total, mean = 0.0, x.new_zeros(x.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(mean)
    for rows in portions(x):
        part = x[rows]
        c = None if counts is None else counts[rows, None]
        size = float(len(part) if c is None else c.sum())
        here = _sum(part, c) / size
        square = _sum((part - here).square_(), c)
        shift = here.double() - mean
        mean = mean + shift * (size / (total + size))
        squares = squares + square.double() + shift.square() * (total * size / (total + size))
        total += size
    return mean.to(x.dtype), (squares / total).to(x.dtype)


def _sum(x: Tensor, counts: Tensor | None) -> Tensor:
    return x.sum(0) if counts is None else counts[:, 0] @ x


def portions(x: Float[Tensor, "rows width"]) -> Iterator[slice]:
    """Ranges of rows, one after the other."""
    step = max(1, PORTION // x.shape[1]) if x.device.type == "cpu" else max(1, len(x))
    return (slice(start, start + step) for start in range(0, len(x), step))


class _NormSiLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        counts: Tensor | None,
        skip: Tensor | None,
        own: bool,
    ) -> Tensor:
        inverse = variance.rsqrt()
        scale = weight * inverse
        shift = bias - mean * scale
        result = torch.empty_like(x)
        for rows in portions(x):
            here = torch.addcmul(shift, x[rows], scale, out=result[rows])
            F.silu(here, inplace=True)
            if skip is not None:
                here += skip[rows]
        ctx.save_for_backward(x, mean, inverse, scale, shift, counts)
        ctx.own, ctx.skipped = own, skip is not None
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inverse, scale, shift, counts = ctx.saved_tensors
        d_bias, d_weight = torch.zeros_like(scale), torch.zeros_like(scale)
        dx = torch.empty_like(x)
        for rows in portions(x):
            h = torch.ops.aten.silu_backward.grad_input(
                grad[rows], torch.addcmul(shift, x[rows], scale), grad_input=dx[rows]
            )
            d_bias += h.sum(0)
            d_weight += ((x[rows] - mean).mul_(h)).sum(0)
        d_weight *= inverse
        total = len(x) if counts is None else float(counts.sum())
        for rows in portions(x):
            h = dx[rows].mul_(scale)
            if ctx.own:
                common = (
                    (x[rows] - mean).mul_(scale * inverse * d_weight / total).add_(scale * d_bias / total)
                )
                h -= common if counts is None else common.mul_(counts[rows, None])
        return dx, d_weight, d_bias, None, None, None, grad if ctx.skipped else None, None
