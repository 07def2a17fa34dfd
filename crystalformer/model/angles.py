"""Attention with the angular term of CrystalFramer (Ito, Taniai et al., ICLR 2025).

    psi_ij(n) = c_dist W_0 b_dist(r) + c_angle sum_{k=1..3} W_k b_angle(e_k.rhat_ij(n))

The axes e_k are those of `frames`. As W_0 does in `attention`, W_k leaves the sum over images m,

    y_i = O_i + c_dist W_0 B_i + c_angle sum_k W_k A_ik,   A_ik = sum_m p_im b_angle(e_ik.rhat_m).

An image at the atom itself has no angle and adds nothing to A.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from crystalformer.layers.segments import segment_offsets, segment_sum
from crystalformer.model.attention import Attention, add_encoding
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.frames import FRAMES, Directions
from crystalformer.model.geometry import Geometry
from crystalformer.model.images import CUTOFF_MARGIN, CUTOFF_SIGMAS, ImageList

CHUNK = 2**24  # values of the basis at a time, which bounds the memory


@dataclass(frozen=True)
class AngularBasis:
    """D Gaussians of the cosine of an angle, centred evenly from -1 to 1.

    b_d(c) = exp(-(c - mu_d)^2 / (2 (s Delta)^2)),  mu_d = -1 + (d - 1) Delta,  Delta = 2 / (D - 1),  d = 1..D

    Attributes:
        size: D.
        width: s, standard deviation in units of the spacing.
    """

    size: int
    width: float

    def __call__(self, cosine: Tensor) -> Tensor:
        """b(c): shape (...) gives (..., D)."""
        centres = torch.linspace(-1, 1, self.size, dtype=cosine.dtype, device=cosine.device)
        sigma = self.width * 2 / (self.size - 1)
        return torch.exp((cosine.unsqueeze(-1) - centres).square() * (-0.5 / sigma**2))


class FramedAttention(Attention):
    """Attention in real space whose value encoding sees directions.

    Beside the parameters of `Attention`: `angle_encoding` (3 axes, heads, head width, D), the W_k.
    """

    def __init__(self, config: CrystalformerConfig) -> None:
        super().__init__(config, config.value_basis)
        self.frames = FRAMES[config.frames]
        self.basis = AngularBasis(config.angle_basis, config.angle_width)
        self.c_dist, self.c_angle = config.c_dist, config.c_angle
        self.angle_encoding = nn.Parameter(torch.empty(3, config.heads, config.head_width, self.basis.size))

    def mix_heads(self, q: Tensor, k: Tensor, v: Tensor, geometry: Geometry) -> Tensor:
        images, directions = geometry.images, geometry.directions
        a = self.decay(q)
        averaged_v, averaged_b = self.attend(q, k, v, a, images)
        encoding = None if self.value_encoding is None else self.c_dist * self.value_encoding
        log_weights = attention_weights(q, k, a, images, directions)
        frames = self.frames(log_weights.detach(), directions)
        angles = average_angles(log_weights, frames, directions, self.basis)
        angular = torch.einsum("ahkf,khdf->ahd", angles, self.angle_encoding)
        return add_encoding(averaged_v, averaged_b, encoding) + self.c_angle * angular


def attention_weights(q: Tensor, k: Tensor, a: Tensor, images: ImageList, directions: Directions) -> Tensor:
    """log p_im of every image, (images, heads); arguments as for `attend`. -inf outside the box of a head."""
    query = directions.query
    sizes = images.sizes.tolist()
    crystals = zip(q.split(sizes), k.split(sizes), strict=True)
    similarity = torch.cat([torch.einsum("ihd,jhd->ijh", *pair).flatten(0, 1) for pair in crystals])
    logits = (
        similarity[directions.pair] / math.sqrt(q.shape[-1]) + a[query] * images.distance.square()[:, None]
    )
    if images.reach is not None:
        cutoff = CUTOFF_SIGMAS * (2 * a.detach().abs()).rsqrt() + CUTOFF_MARGIN
        logits = logits.masked_fill(images.reach[:, None] >= cutoff[query], -math.inf)
    largest = torch.full_like(a, -math.inf).scatter_reduce(
        0, query[:, None].expand_as(logits), logits.detach(), "amax"
    )
    total = segment_sum((logits - largest[query]).exp(), directions.counts)
    return logits - (largest + total.log())[query]


def average_angles(
    log_weights: Tensor, frames: Tensor, directions: Directions, basis: AngularBasis
) -> Tensor:
    """A of the formula above, (atoms, heads, 3, D).

    Args:
        log_weights: log p_im, (images, heads).
        frames: (atoms, heads, 3 axes, 3).
        directions: of the images.
        basis: b_angle.
    """
    # what is left out weighs less, all images of an atom together, than the rounding error of one number
    smallest = torch.finfo(log_weights.dtype).eps / max(1, int(directions.counts.max()))
    kept = (log_weights.detach().amax(1) > math.log(smallest)) & directions.present
    query, unit, weights = directions.query[kept], directions.unit[kept], log_weights[kept].exp()
    counts = torch.bincount(query, minlength=len(frames))
    ends = segment_offsets(counts).tolist()
    parts = []
    for atoms in _chunks(counts, CHUNK // (weights.shape[1] * 3 * basis.size)):
        images = slice(ends[atoms.start], ends[atoms.stop])
        arrays = weights[images], frames[atoms], unit[images], counts[atoms]
        # the values of the basis are many times larger than all else: computed again for the gradient
        parts.append(
            checkpoint(_average_chunk, *arrays, basis, use_reentrant=False, preserve_rng_state=False)
        )
    return torch.cat(parts)


def _average_chunk(
    weights: Tensor, frames: Tensor, unit: Tensor, counts: Tensor, basis: AngularBasis
) -> Tensor:
    cosine = torch.einsum("mhkx,mx->mhk", frames.repeat_interleave(counts, dim=0), unit)
    return segment_sum(weights[..., None, None] * basis(cosine), counts)


def _chunks(counts: Tensor, images: int) -> list[slice]:
    """Consecutive atoms with up to so many images together, at least one atom each."""
    chunks, start, total = [], 0, 0
    for atom, count in enumerate(counts.tolist()):
        if atom > start and total + count > images:
            chunks.append(slice(start, atom))
            start, total = atom, 0
        total += count
    return [*chunks, slice(start, len(counts))]
