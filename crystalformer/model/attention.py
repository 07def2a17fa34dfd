"""Infinitely connected attention.

The paper (Sec. 3, appendix "Derivation") writes the attention of atom i over all images n of all atoms j as

    y_i = 1/Z_i sum_j sum_n exp(q_i.k_j / sqrt(d_K) + phi_ij(n)) (v_j + psi_ij(n))
    phi_ij(n) = -r^2 / (2 sigma_i^2),   psi_ij(n) = W b(r),   r = |p_j(n) - p_i|,

and sums over n first, which gives it alpha_ij and beta_ij. Here every image m = (j, n) is a key of one
softmax,

    p_im = softmax_m(q_i.k_j / sqrt(d_K) + a_i r_m^2),   a_i = -1 / (2 sigma_i^2)
    O_i = sum_m p_im v_j,   B_i = sum_m p_im b(r_m),   y_i = O_i + W B_i,

which is the same number: W does not depend on the image, so it is applied once per atom instead of once per
pair of atoms, and alpha and beta never have to exist.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.geometry import Geometry
from crystalformer.model.images import CUTOFF_MARGIN, CUTOFF_SIGMAS, ImageList
from crystalformer.model.sigma import build_decay
from crystalformer.model.tiles import Tile


def attend(q: Tensor, k: Tensor, v: Tensor, a: Tensor, images: ImageList) -> tuple[Tensor, Tensor | None]:
    """One softmax over the images of each atom, in each head.

    This is the function that a fused kernel may replace.

    Args:
        q: queries (atoms, heads, head width), not yet divided by sqrt(d_K).
        k: keys, same shape.
        v: values, same shape.
        a: decay rates -1 / (2 sigma^2) in 1/Å^2, (atoms, heads), negative.
        images: the images of the batch.

    Returns:
        O (atoms, heads, head width), the averaged values, and B (atoms, heads, K), the averaged radial
        basis, or None where `images` has no basis.
    """
    view = images.tiles
    padded = zip(view.tiles, *(view.pad(values) for values in (q, k, v, a)), strict=True)
    values, bases = zip(*(_attend_tile(*arrays) for arrays in padded), strict=True)
    return view.unpad(values), None if images.basis is None else view.unpad(bases)


def _attend_tile(tile: Tile, q: Tensor, k: Tensor, v: Tensor, a: Tensor) -> tuple[Tensor, Tensor | None]:
    """`attend` for the C crystals of a tile; axes c crystal, i query, j key, h head, d feature."""
    a = a[..., None, None]
    similarity = torch.einsum("cihd,cjhd->cihj", q, k) / math.sqrt(q.shape[-1])
    logits = torch.addcmul(similarity[..., None], a, tile.squared)
    if tile.reach is not None:
        sigma = (2 * a.detach().abs()).rsqrt()  # infinite for padding, where a = 0
        cutoff = CUTOFF_SIGMAS * sigma + CUTOFF_MARGIN
        logits = logits.masked_fill(tile.reach >= cutoff, -math.inf)
    p = logits.flatten(3).softmax(-1).view_as(logits)
    averaged_v = torch.einsum("cihj,cjhd->cihd", p.sum(-1), v)
    if tile.basis is None:
        return averaged_v, None
    averaged_b = p.flatten(3).flatten(0, 1) @ tile.basis
    return averaged_v, averaged_b.unflatten(0, p.shape[:2])


class Attention(nn.Module, ABC):
    """Multi-head attention of the atoms of a crystal to all periodic images of its atoms.

    | parameter | shape | paper |
    |---|---|---|
    | `query`, `key`, `value` | (width, width) + (width,) | q, k, v |
    | `decay.weight` | (heads, head width) | w of sigma; none where sigma is fixed |
    | `value_encoding` | (heads, head width, K) | W^E of psi, no bias; None without psi |
    | `output` | (width, width) + (width,) | output projection |

    A subclass says how the images are summed.
    """

    value_encoding: nn.Parameter | None

    def __init__(self, config: CrystalformerConfig, value_basis: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.width)
        self.value = nn.Linear(config.width, config.width)
        self.decay = build_decay(config)
        if value_basis:
            self.value_encoding = nn.Parameter(torch.empty(config.heads, config.head_width, value_basis))
        else:
            self.register_parameter("value_encoding", None)
        self.output = nn.Linear(config.width, config.width)

    def calibrate(self, x: Tensor) -> None:
        """Sets m and s of sigma from atom features (atoms, width)."""
        self.decay.calibrate(self._heads(self.query(x)))

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        """Atom features (atoms, width) to features of the same shape."""
        return self.output(self.mix(x, geometry).flatten(1))

    def mix(self, x: Tensor, geometry: Geometry) -> Tensor:
        """y_i, before the output projection; (atoms, heads, head width)."""
        q, k, v = (self._heads(project(x)) for project in (self.query, self.key, self.value))
        return self.mix_heads(q, k, v, geometry)

    @abstractmethod
    def mix_heads(self, q: Tensor, k: Tensor, v: Tensor, geometry: Geometry) -> Tensor:
        """y_i from queries, keys and values; all (atoms, heads, head width)."""

    def _heads(self, features: Tensor) -> Tensor:
        return features.unflatten(-1, (self.heads, -1))


class InfinitelyConnectedAttention(Attention):
    """The sum over images in real space, by the formula above."""

    def __init__(self, config: CrystalformerConfig) -> None:
        super().__init__(config, config.value_basis)

    def mix_heads(self, q: Tensor, k: Tensor, v: Tensor, geometry: Geometry) -> Tensor:
        averaged_v, averaged_b = attend(q, k, v, self.decay(q), geometry.images)
        return add_encoding(averaged_v, averaged_b, self.value_encoding)


def add_encoding(averaged_v: Tensor, averaged_b: Tensor | None, value_encoding: Tensor | None) -> Tensor:
    """O_i + W B_i of O (atoms, heads, head width), B (atoms, heads, K) and W (heads, head width, K)."""
    if averaged_b is None or value_encoding is None:
        return averaged_v
    return averaged_v + torch.einsum("ahk,hdk->ahd", averaged_b, value_encoding)
