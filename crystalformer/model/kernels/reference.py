"""The attention sum in plain PyTorch: any device, any dtype, and gradients of any order.

Distances, and with them positions and lattices, may be differentiated, too.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from crystalformer.model.images import ImageList, box_cutoff
from crystalformer.model.tiles import Tile


def attend(
    q: Float[Tensor, "atoms heads d_K"],
    k: Float[Tensor, "atoms heads d_K"],
    v: Float[Tensor, "atoms heads d_K"],
    a: Float[Tensor, "atoms heads"],
    images: ImageList,
) -> tuple[Float[Tensor, "atoms heads d_K"], Float[Tensor, "atoms heads K"] | None]:
    """One softmax over the images of each atom, in each head.

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
        logits = logits.masked_fill(tile.reach >= box_cutoff(a), -math.inf)
    p = logits.flatten(3).softmax(-1).view_as(logits)
    averaged_v = torch.einsum("cihj,cjhd->cihd", p.sum(-1), v)
    if tile.basis is None:
        return averaged_v, None
    averaged_b = p.flatten(3).flatten(0, 1) @ tile.basis
    return averaged_v, averaged_b.unflatten(0, p.shape[:2])
