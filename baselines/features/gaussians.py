"""A number as a row of Gaussians on an even grid."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class GaussianGrid:
    """b_k(x) = exp(-γ (x - μ_k)²) with `size` centres μ_k evenly spaced from `low` to `high`, both included.

    By default γ = 1/Δ with the spacing Δ of the centres, as the RBF expansion of ALIGNN, Matformer and
    ComFormer has it, where the unit of x is left out.

    Raises:
        ValueError: fewer than two centres, or `high` not above `low`.
    """

    low: float
    high: float
    size: int
    gamma: float | None = None

    def __post_init__(self) -> None:
        if self.size < 2 or not self.high > self.low:
            raise ValueError(
                f"centres: expected at least 2 and low < high, got {self.size} from {self.low} to {self.high}"
            )

    def __call__(self, x: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows {self.size}"]:
        """b(x) of each number."""
        spacing = (self.high - self.low) / (self.size - 1)
        gamma = 1 / spacing if self.gamma is None else self.gamma
        # In units of the spacing: centres are whole numbers, exact in any dtype.
        k = torch.arange(self.size, dtype=x.dtype, device=x.device)
        offset = ((x - self.low) / spacing).unsqueeze(-1) - k
        # Below e^-87, float32 turns subnormal and slow; nothing is lost by an even smaller exponent.
        exponent = offset.square_().mul_(-gamma * spacing**2).clamp_(min=-87.0)
        return exponent.exp_()


def gaussian_count(radius: float, step: float) -> int:
    """Number of centres 0, Δ, 2Δ, ... up to the first that is not below the radius, in Å, as in CGCNN."""
    return math.ceil(radius / step - 1e-9) + 1
