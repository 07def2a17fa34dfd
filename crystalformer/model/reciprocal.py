"""Attention in reciprocal space (Crystalformer, ICLR 2024, appendix "Reciprocal space attention").

By Poisson's formula the sum over images of a Gaussian is a sum over plane waves,

    alpha_ij = log sum_n exp(phi_ij(n))
             = log[ (2 pi sigma_i^2)^(3/2) / V  sum_m exp(-sigma_i^2 |w_m|^2 / 2) cos(w_m.(p_j - p_i)) ],

which converges fast where sigma_i is large. Here sigma_ih^2 = rb0^2 rho((q_ih.w_h - m) / s): rho multiplies,
where in real space it divides (`Decay`), so that sigma_ih > rb0 sqrt(b). Cut off at a few waves the series
can fall below 0; it is bounded at 1e-6, with no gradient there. The factor before it depends on i alone, so
the softmax over j cancels it, and with it V and the handedness of the lattice.

psi has no such form: reciprocal heads average values only, y_i = sum_j softmax_j(q_i.k_j / sqrt(d_K) +
alpha_ij) v_j.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from crystalformer.model.attention import Attention, add_encoding
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.geometry import Geometry
from crystalformer.model.waves import Waves, WaveTile

SMALLEST_SUM = 1e-6


def attend_reciprocal(
    q: Float[Tensor, "atoms heads d_K"],
    k: Float[Tensor, "atoms heads d_K"],
    v: Float[Tensor, "atoms heads d_K"],
    variance: Float[Tensor, "atoms heads"],
    waves: Waves,
) -> Float[Tensor, "atoms heads d_K"]:
    """One softmax over the atoms of the unit cell for each atom, in each head.

    Args:
        q: queries (atoms, heads, head width), not yet divided by sqrt(d_K).
        k: keys, same shape.
        v: values, same shape.
        variance: sigma_ih^2 in Å^2, (atoms, heads).
        waves: the waves of the batch.

    Returns:
        The averaged values, (atoms, heads, head width).
    """
    padded = zip(waves.tiles, *(waves.pad(values) for values in (q, k, v, variance)), strict=True)
    return waves.unpad([_attend_tile(*arrays) for arrays in padded])


def _attend_tile(tile: WaveTile, q: Tensor, k: Tensor, v: Tensor, variance: Tensor) -> Tensor:
    """`attend_reciprocal` for the C crystals of a tile; axes c crystal, i query, j key, h head, d feature."""
    damping = tile.weight * torch.exp(-0.5 * variance[..., None] * tile.squared[:, None, None])  # c i h m
    own = damping.repeat(1, 1, 1, 2) * tile.phases[:, :, None]
    series = (own.flatten(1, 2) @ tile.phases.transpose(1, 2)).unflatten(1, damping.shape[1:3])  # c i h j
    similarity = torch.einsum("cihd,cjhd->cihj", q, k) / math.sqrt(q.shape[-1])
    logits = similarity + series.clamp(min=SMALLEST_SUM).log()
    p = logits.masked_fill(tile.absent, -math.inf).softmax(-1)
    return torch.einsum("cihj,cjhd->cihd", p, v)


class ReciprocalAttention(Attention):
    """All heads in reciprocal space."""

    def __init__(self, config: CrystalformerConfig) -> None:
        super().__init__(config, value_basis=0)
        self.rb0 = config.rb0

    def mix_heads(
        self,
        q: Float[Tensor, "atoms heads d_K"],
        k: Float[Tensor, "atoms heads d_K"],
        v: Float[Tensor, "atoms heads d_K"],
        geometry: Geometry,
    ) -> Float[Tensor, "atoms heads d_K"]:
        """See `Attention.mix_heads`."""
        return attend_reciprocal(q, k, v, self.rb0**2 * self.decay.rho(q), geometry.waves)


class DualSpaceAttention(Attention):
    """The first half of the heads in real space, with their value encoding, the others in reciprocal space.

    One w, m and s of sigma serves both. The value encoding has the published size, (heads, head width, K);
    its rows of the reciprocal heads are not used.
    """

    def __init__(self, config: CrystalformerConfig) -> None:
        super().__init__(config, config.value_basis)
        self.rb0 = config.rb0

    def mix_heads(
        self,
        q: Float[Tensor, "atoms heads d_K"],
        k: Float[Tensor, "atoms heads d_K"],
        v: Float[Tensor, "atoms heads d_K"],
        geometry: Geometry,
    ) -> Float[Tensor, "atoms heads d_K"]:
        """See `Attention.mix_heads`."""
        half = self.heads // 2
        a = self.decay(q)[:, :half]
        averaged_v, averaged_b = self.attend(q[:, :half], k[:, :half], v[:, :half], a, geometry.images)
        encoding = None if self.value_encoding is None else self.value_encoding[:half]
        real = add_encoding(averaged_v, averaged_b, encoding)
        variance = self.rb0**2 * self.decay.rho(q)[:, half:]
        reciprocal = attend_reciprocal(q[:, half:], k[:, half:], v[:, half:], variance, geometry.waves)
        return torch.cat([real, reciprocal], dim=1)
