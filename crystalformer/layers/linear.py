"""Linear layers in float32 that use all of a CPU's vectors.

PyTorch has the products of float32 matrices done by MKL, which leaves the 512-bit vectors of a CPU unused
that is not Intel's. oneDNN, another library inside PyTorch, uses them: products of (1024, 256) and (256,
256) run at 210 instead of 93 GFLOP/s on one core of an AMD EPYC (Zen 5). It is taken for float32 on CPUs
with AVX-512 where it pays, and otherwise PyTorch decides.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

WORTH_IT = 2**18  # multiplications; a call costs 15 instead of 2 µs
SMALLEST = 8  # rows or columns
PORTION = 512  # rows of which the products are summed at a time, for a weight's gradient


class Linear(nn.Linear):
    """`nn.Linear` on `linear`."""

    def forward(self, input: Float[Tensor, "*rows n_in"]) -> Float[Tensor, "*rows n_out"]:
        """(..., in_features) -> (..., out_features)."""
        return linear(input, self.weight, self.bias)


def linear(
    x: Float[Tensor, "*rows n_in"],
    weight: Float[Tensor, "n_out n_in"],
    bias: Float[Tensor, " n_out"] | None = None,
) -> Float[Tensor, "*rows n_out"]:
    """x W^T + b, as `torch.nn.functional.linear`; on the fast way it can be differentiated once.

    Args:
        x: (..., in).
        weight: W (out, in).
        bias: b (out,).

    Returns:
        (..., out)
    """
    rows = x.reshape(-1, x.shape[-1])
    if _fast_product(rows, weight) is None:
        return F.linear(x, weight, bias)
    return _Linear.apply(rows, weight, bias).view(*x.shape[:-1], len(weight))


def product(x: Float[Tensor, "n k"], y: Float[Tensor, "m k"]) -> Float[Tensor, "n m"]:
    """x y^T of (n, k) and (m, k), for code that has its own backward pass: it cannot be differentiated."""
    fast = _fast_product(x, y)
    with torch.no_grad():
        return x @ y.T if fast is None else fast(x, y, None)


def _fast_product(x: Tensor, y: Tensor) -> Callable[[Tensor, Tensor, Tensor | None], Tensor] | None:
    """What computes x y^T + b faster than PyTorch, where there is something."""
    fits = x.dtype == y.dtype == torch.float32 and x.device.type == y.device.type == "cpu"
    pays = min(*x.shape, *y.shape) >= SMALLEST and x.numel() * len(y) >= WORTH_IT
    return _onednn() if fits and pays else None


@cache
def _onednn() -> Callable[[Tensor, Tensor, Tensor | None], Tensor] | None:
    """x y^T + b by oneDNN; None where PyTorch comes without it or the CPU has no AVX-512.

    The operation has no public name, so it is tried once: another PyTorch may have another one.
    """
    if "AVX512" not in torch.backends.cpu.get_cpu_capability() or not torch.backends.mkldnn.is_available():
        return None

    def multiply(x: Tensor, y: Tensor, bias: Tensor | None) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(y), bias, "none", [], "")

    x, y, bias = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3), torch.arange(4.0)
    try:
        works = torch.equal(multiply(x, y, bias), x @ y.T + bias)
    except (AttributeError, RuntimeError, TypeError):
        return None
    return multiply if works else None


def _dense(x: Tensor) -> Tensor:
    """A copy where neither rows nor columns follow each other: oneDNN is 1,000 times slower on such parts."""
    return x if x.is_contiguous() or x.T.is_contiguous() else x.contiguous()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        multiply = _onednn()
        assert multiply is not None
        return multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        dx = product(grad, weight.T) if ctx.needs_input_grad[0] else None
        d_weight = None
        if ctx.needs_input_grad[1]:
            d_weight = torch.zeros_like(weight)
            for g, part in zip(grad.split(PORTION), x.split(PORTION), strict=True):
                d_weight += product(g.T, part.T)
        return dx, d_weight, grad.sum(0) if ctx.needs_input_grad[2] else None
