"""Radial bases: a distance as a vector of smooth bumps."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class GaussianBasis:
    """K Gaussians spread evenly over (0, r_max].

    b_k(r) = exp(-(r - mu_k)^2 / (2 (r_max/K)^2)),  mu_k = k r_max/K,  k = 1..K

    There is no centre at 0, and the last lies at r_max. Crystalformer, ICLR 2024, Eq. of psi ("gaussian
    RBF") and its implementation details, with K = 64 and r_max = 14 Å.

    Attributes:
        size: K, number of functions.
        r_max: position of the last centre in Å.

    Raises:
        ValueError: size is below 1 or r_max is not positive.
    """

    size: int
    r_max: float

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size: expected at least 1 function, got {self.size}")
        if not self.r_max > 0:
            raise ValueError(f"r_max: expected above 0 Å, got {self.r_max}")

    @property
    def width(self) -> float:
        """Standard deviation of every Gaussian, and the spacing of the centres, in Å."""
        return self.r_max / self.size

    def __call__(self, distance: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows K"]:
        """b(r) of distances in Å: shape (...) gives (..., K)."""
        k = torch.arange(1, self.size + 1, dtype=distance.dtype, device=distance.device)
        offset = distance.unsqueeze(-1) / self.width - k
        # beyond 13 widths a Gaussian is below 2e-37; smaller still, and float32 turns slow (subnormal)
        offset = offset.clamp_(-13, 13)
        return torch.addcmul(offset.new_zeros(()), offset, offset, value=-0.5).exp_()
