"""Attention with the angular term of CrystalFramer (Ito, Taniai et al., ICLR 2025).

    psi_ij(n) = c_dist W_0 b_dist(r) + c_angle sum_{k=1..3} W_k b_angle(e_k.rhat_ij(n))

The axes e_k are those of `frames`. As W_0 does in `attention`, W_k leaves the sum over images m,

    y_i = O_i + c_dist W_0 B_i + c_angle sum_k W_k A_ik,   A_ik = sum_m p_im b_angle(e_ik.rhat_m).

An image at the atom itself has no angle and adds nothing to A.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from crystalformer.layers.segments import segment_offsets, segment_sum
from crystalformer.model.attention import Attention, add_encoding
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.frames import Directions, choose_frames
from crystalformer.model.geometry import Geometry
from crystalformer.model.images import CUTOFF_MARGIN, CUTOFF_SIGMAS, ImageList

Average = Callable[[Tensor, Tensor, Directions, "AngularBasis"], Tensor]
CHUNK = 2**22  # values at a time, which bounds the memory
REACH = 12.5  # standard deviations from the centre of a group of Gaussians


@dataclass(frozen=True)
class AngularBasis:
    """D Gaussians of the cosine of an angle, centred evenly from -1 to 1.

    b_d(c) = exp(-(c - mu_d)^2 / (2 (s Delta)^2)),  mu_d = -1 + d Delta,  Delta = 2 / (D - 1),  d = 0..D-1

    Attributes:
        size: D.
        width: s, standard deviation in units of the spacing.
    """

    size: int
    width: float

    def __call__(self, cosine: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows size"]:
        """b(c): shape (...) gives (..., D)."""
        near, within, constant = self.factors(cosine)
        values = near[..., :, None] * within[..., None, :] * constant
        return values.flatten(-2)[..., : self.size]

    def factors(
        self, cosine: Float[Tensor, "*rows"]
    ) -> tuple[Float[Tensor, "*rows groups"], Float[Tensor, "*rows F"], Float[Tensor, "groups F"]]:
        """b(c) as a product, which takes about 2 sqrt(D) exponentials in place of D.

        With t = (c + 1) / Delta and the functions in groups of F around m_j, d = m_j + f,

            exp(-(t - d)^2 / 2 s^2) = exp(-(t - m_j)^2 / 2 s^2) exp((t - t_0) f / s^2)
                                      exp((t_0 - m_j) f / s^2 - f^2 / 2 s^2),   t_0 = (D - 1) / 2.

        Returns:
            The three factors, (..., groups, 1), (..., 1, F) without their axes of length 1, and (groups, F).
            Where the last group is not full, the product has more than D values.
        """
        group = self._group
        within = torch.arange(group).to(cosine) - (group - 1) / 2  # f
        centres = torch.arange(0, self.size, group).to(cosine) + (group - 1) / 2  # m_j
        t = (cosine.unsqueeze(-1) + 1) * ((self.size - 1) / 2)
        middle = (self.size - 1) / 2  # t_0
        variance = self.width**2
        offset = (t - centres) / self.width
        # beyond, the product is below 1e-20; smaller numbers yet, and single precision turns slow (subnormal)
        near = torch.where(offset.abs() < REACH, torch.exp(-0.5 * offset.square()), 0.0)
        tilt = torch.exp((t - middle) * (within / variance))
        constant = torch.exp(
            (middle - centres)[:, None] * within / variance - within.square() / (2 * variance)
        )
        return near, tilt, constant

    @property
    def _group(self) -> int:
        """F: about sqrt(D), fewer where the Gaussians are so narrow that a factor could overflow."""
        widest = min(4 * self.width + 1, 120 * self.width**2 / (self.size - 1) + 1)
        return max(1, min(math.ceil(math.sqrt(self.size)), math.floor(widest)))


class FramedAttention(Attention):
    """Attention in real space whose value encoding sees directions.

    Beside the parameters of `Attention`: `angle_encoding` (3 axes, heads, head width, D), the W_k.
    """

    def __init__(self, config: CrystalformerConfig) -> None:
        super().__init__(config, config.value_basis)
        self.frames = choose_frames(config.frames, config.kernel)
        self.average = choose_average(config.kernel)
        self.basis = AngularBasis(config.angle_basis, config.angle_width)
        self.c_dist, self.c_angle = config.c_dist, config.c_angle
        self.angle_encoding = nn.Parameter(torch.empty(3, config.heads, config.head_width, self.basis.size))

    def mix_heads(
        self,
        q: Float[Tensor, "atoms heads d_K"],
        k: Float[Tensor, "atoms heads d_K"],
        v: Float[Tensor, "atoms heads d_K"],
        geometry: Geometry,
    ) -> Float[Tensor, "atoms heads d_K"]:
        """See `Attention.mix_heads`."""
        images, directions = geometry.images, geometry.directions
        a = self.decay(q)
        averaged_v, averaged_b = self.attend(q, k, v, a, images)
        encoding = None if self.value_encoding is None else self.c_dist * self.value_encoding
        log_weights = attention_weights(q, k, a, images, directions)
        frames = self.frames(log_weights.detach(), directions)
        angles = self.average(log_weights, frames, directions, self.basis)
        angular = torch.einsum("ahkf,khdf->ahd", angles, self.angle_encoding)
        return add_encoding(averaged_v, averaged_b, encoding) + self.c_angle * angular


def choose_average(kernel: str) -> Average:
    """`average_angles`, or with the kernels "auto" and "cpu" its fused form where that can take its place.

    That is for float32 and float64 on a CPU, directions that need no gradient, and Gaussians that are not too
    narrow.
    """
    if kernel not in ("auto", "cpu") or find_spec("numba") is None:
        return average_angles
    from crystalformer.model.kernels import cpu_angles  # here, as Numba takes half a second to load

    def average(log_weights: Tensor, frames: Tensor, directions: Directions, basis: AngularBasis) -> Tensor:
        unit = directions.unit
        on_cpu = unit.device.type == "cpu" and unit.dtype == log_weights.dtype in cpu_angles.FLOATS
        if not on_cpu or unit.requires_grad or not cpu_angles.step_of(basis.size, basis.width):
            return average_angles(log_weights, frames, directions, basis)
        return cpu_angles.AverageAngles.apply(
            log_weights, frames, directions.counts, unit, basis.size, basis.width
        )

    return average


def attention_weights(
    q: Float[Tensor, "atoms heads d_K"],
    k: Float[Tensor, "atoms heads d_K"],
    a: Float[Tensor, "atoms heads"],
    images: ImageList,
    directions: Directions,
) -> Float[Tensor, "images heads"]:
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
    log_weights: Float[Tensor, "images heads"],
    frames: Float[Tensor, "atoms heads 3 3"],
    directions: Directions,
    basis: AngularBasis,
) -> Float[Tensor, "atoms heads 3 {basis.size}"]:
    """A of the formula above.

    Args:
        log_weights: log p_im.
        frames: three axes for each atom and head, each a row.
        directions: of the images.
        basis: b_angle.
    """
    # what is left out weighs less, each image, than the rounding error of one number
    smallest = math.log(torch.finfo(log_weights.dtype).eps)
    kept = (log_weights.detach().amax(1) > smallest) & directions.present
    query, unit, weights = directions.query[kept], directions.unit[kept], log_weights[kept].exp()
    counts = torch.bincount(query, minlength=len(frames))
    ends = segment_offsets(counts)
    first, last = ends[:-1].tolist(), ends[1:].tolist()
    values_of_image = 6 * weights.shape[1] * math.ceil(math.sqrt(basis.size))
    parts = []
    for atoms in _chunks(counts.tolist(), CHUNK // values_of_image):
        images = slice(first[atoms.start], last[atoms.stop - 1])
        longest = max(1, int(counts[atoms].max()))
        places = (query[images] - atoms.start) * longest
        places = places + torch.arange(images.start, images.stop, device=query.device) - ends[query[images]]
        shape = atoms.stop - atoms.start, longest
        padded = (_pad(values[images], places, shape) for values in (weights, unit))
        # the factors of the basis are many times larger than all else: computed again for the gradient
        parts.append(
            checkpoint(
                _average_padded, *padded, frames[atoms], basis, use_reentrant=False, preserve_rng_state=False
            )
        )
    return torch.cat(parts)


def _average_padded(weights: Tensor, unit: Tensor, frames: Tensor, basis: AngularBasis) -> Tensor:
    """A of some atoms from weights (atoms, images, heads) and directions (atoms, images, 3)."""
    cosine = torch.einsum("ahkx,amx->ahkm", frames, unit)
    near, tilt, constant = basis.factors(cosine)
    weighted = near * weights.transpose(1, 2)[:, :, None, :, None]
    return ((weighted.transpose(-1, -2) @ tilt) * constant).flatten(-2)[..., : basis.size]


def _pad(values: Tensor, places: Tensor, shape: tuple[int, int]) -> Tensor:
    """Rows (images, ...) as (atoms, images of an atom, ...), 0 where there is none."""
    padded = values.new_zeros(shape[0] * shape[1], *values.shape[1:]).index_copy(0, places, values)
    return padded.unflatten(0, shape)


def _chunks(counts: list[int], images: int) -> list[slice]:
    """Consecutive atoms with up to so many images when padded to the same number, at least one atom each."""
    chunks, start, longest = [], 0, 0
    for atom, count in enumerate(counts):
        longest = max(longest, count)
        if atom > start and (atom + 1 - start) * longest > images:
            chunks.append(slice(start, atom))
            start, longest = atom, count
    return [*chunks, slice(start, len(counts))]
