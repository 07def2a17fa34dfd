"""sigma_i: the reach of each query atom in each head, and two ways to leave parts of it out."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from crystalformer.model.config import CrystalformerConfig


class Decay(nn.Module, ABC):
    """How fast attention decays with distance: 1 / sigma_ih^2 = rho_ih / r0^2.

    In reciprocal space rho multiplies instead: sigma_ih^2 = rb0^2 rho_ih (`ReciprocalAttention`).
    """

    def __init__(self, r0: float) -> None:
        super().__init__()
        self.r0 = r0

    @property
    def calibrated(self) -> bool:
        """Whether the statistics of the first training batch are known, where they are used."""
        return True

    def calibrate(self, q: Float[Tensor, "atoms heads d_K"]) -> None:
        """Sets what is taken from the queries (atoms, heads, head width) of the first training batch."""

    @abstractmethod
    def rho(self, q: Float[Tensor, "atoms heads d_K"]) -> Float[Tensor, "atoms heads"]:
        """rho_ih of queries (atoms, heads, head width), above 0; shape (atoms, heads)."""

    def forward(self, q: Float[Tensor, "atoms heads d_K"]) -> Float[Tensor, "atoms heads"]:
        """a_ih = -1 / (2 sigma_ih^2) in 1/Å^2, so that phi = a r^2; shape (atoms, heads)."""
        return self.rho(q) * (-0.5 / self.r0**2)


class FixedDecay(Decay):
    """sigma_i = r0 for every atom and head: rho = 1, without parameters. An ablation."""

    def rho(self, q: Float[Tensor, "atoms heads d_K"]) -> Float[Tensor, "atoms heads"]:
        """See `Decay.rho`."""
        return q.new_ones(q.shape[:2])


class UnnormalisedDecay(Decay):
    """sigma_i from the query as it is, m = 0 and s = 1 in the formula of `DecayRate`. An ablation.

    The learned w_h has one row per head.
    """

    def __init__(self, heads: int, head_width: int, r0: float, a: float, b: float) -> None:
        super().__init__(r0)
        self.weight = nn.Parameter(torch.empty(heads, head_width))  # w
        self.a, self.b = a, b

    def rho(self, q: Float[Tensor, "atoms heads d_K"]) -> Float[Tensor, "atoms heads"]:
        """See `Decay.rho`."""
        return (1 - self.b) * functional.elu(self.a * self.argument(q) / (1 - self.b)) + 1

    def argument(self, q: Float[Tensor, "atoms heads d_K"]) -> Float[Tensor, "atoms heads"]:
        """What rho is a function of, (atoms, heads)."""
        return torch.einsum("ahd,hd->ah", q, self.weight)


class DecayRate(UnnormalisedDecay):
    """The published sigma_i, learned and normalised.

    1 / sigma_ih^2 = rho((q_ih.w_h - m) / s) / r0^2,   rho(x) = (1 - b) ELU(a x / (1 - b)) + 1

    (Crystalformer, ICLR 2024, appendix "Definition of sigma"). q_ih includes its bias and is not divided by
    sqrt(d_K). rho(0) = 1, its slope is a for x >= 0, and it stays above b, hence sigma < r0 / sqrt(b). m and
    s are one pair for all heads: the mean and the unbiased standard deviation of q_ih.w_h over atoms and
    heads of the first training batch, constants from then on.

    m and s are buffers, NaN until `calibrate` has been called.
    """

    mean: Float[Tensor, ""]
    std: Float[Tensor, ""]

    def __init__(self, heads: int, head_width: int, r0: float, a: float, b: float) -> None:
        super().__init__(heads, head_width, r0, a, b)
        self.register_buffer("mean", torch.tensor(float("nan")))  # m
        self.register_buffer("std", torch.tensor(float("nan")))  # s

    @property
    def calibrated(self) -> bool:
        """Whether m and s are known."""
        return bool(self.std.isfinite())

    @torch.no_grad()
    def calibrate(self, q: Float[Tensor, "atoms heads d_K"]) -> None:
        """Sets m and s.

        Raises:
            ValueError: q.w is the same number everywhere, so it has no spread to divide by.
        """
        values = super().argument(q)
        if values.numel() < 2 or not bool(values.std() > 0):
            raise ValueError("batch: expected atoms whose queries differ, got one q.w for all of them")
        self.mean.copy_(values.mean())
        self.std.copy_(values.std())

    def argument(self, q: Float[Tensor, "atoms heads d_K"]) -> Float[Tensor, "atoms heads"]:
        """See `UnnormalisedDecay.argument`; normalised."""
        return (super().argument(q) - self.mean) / self.std


def build_decay(config: CrystalformerConfig) -> Decay:
    """The decay that `config.decay` names."""
    if config.decay == "fixed":
        return FixedDecay(config.r0)
    kind = {"learned": DecayRate, "unnormalised": UnnormalisedDecay}[config.decay]
    return kind(config.heads, config.head_width, config.r0, config.a, config.b)
