"""sigma_i: the reach of each query atom in each head."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class DecayRate(nn.Module):
    """How fast attention decays with distance: a_ih = -1 / (2 sigma_ih^2), so that phi = a r^2.

    1 / sigma_ih^2 = rho((q_ih.w_h - m) / s) / r0^2,   rho(x) = (1 - b) ELU(a x / (1 - b)) + 1

    (Crystalformer, ICLR 2024, appendix "Definition of sigma"). q_ih includes its bias and is not divided by
    sqrt(d_K). rho(0) = 1, its slope is a for x >= 0, and it stays above b, hence sigma < r0 / sqrt(b). The
    learned w_h has one row per head; m and s are one pair for all heads: the mean and the unbiased standard
    deviation of q_ih.w_h over atoms and heads of the first training batch, constants from then on.

    m and s are buffers, NaN until `calibrate` has been called.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, heads: int, head_width: int, r0: float, a: float, b: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, head_width))  # w
        self.register_buffer("mean", torch.tensor(float("nan")))  # m
        self.register_buffer("std", torch.tensor(float("nan")))  # s
        self.r0, self.a, self.b = r0, a, b

    @torch.no_grad()
    def calibrate(self, q: Tensor) -> None:
        """Sets m and s from queries (atoms, heads, head width).

        Raises:
            ValueError: q.w is the same number everywhere, so it has no spread to divide by.
        """
        values = self._projected(q)
        if values.numel() < 2 or not bool(values.std() > 0):
            raise ValueError("batch: expected atoms whose queries differ, got one q.w for all of them")
        self.mean.copy_(values.mean())
        self.std.copy_(values.std())

    def forward(self, q: Tensor) -> Tensor:
        """a_ih in 1/Å^2 of queries (atoms, heads, head width); shape (atoms, heads)."""
        x = (self._projected(q) - self.mean) / self.std
        rho = (1 - self.b) * functional.elu(self.a * x / (1 - self.b)) + 1
        return rho * (-0.5 / self.r0**2)

    def _projected(self, q: Tensor) -> Tensor:
        return torch.einsum("ahd,hd->ah", q, self.weight)
