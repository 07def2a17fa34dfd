"""Dynamic frames (CrystalFramer: Ito, Taniai et al., ICLR 2025): three axes for each atom, head and block.

A frame follows the present attention weights w_im of atom i to its images m, so it looks at what the head
looks at. rhat_m is the direction of image m from atom i; an image at the atom itself has none.

* max: e_1 = rhat of the image with the largest w; e_2 from the image with the largest (1 - |e_1.rhat|) w,
  made perpendicular to e_1; e_3 = e_1 x e_2.
* weighted PCA: e_1 and e_2 are the eigenvectors of sum_m w_im rhat_m rhat_m^T with the two largest
  eigenvalues; e_3 = e_1 x e_2. (The authors' code has r r^T in place of rhat rhat^T.)

Crystals are symmetric, so equal weights are the rule. The authors draw lots, also in evaluation; here the
outcome is a function of the crystal. Weights within a factor of exp(1e-4) are equal, and among equals that
image is taken whose displacement from the atom, in fractional coordinates, is last in lexicographic order.
This does not depend on rotation, origin, order of atoms, the cell in which an atom is stored, or a supercell
along the same axes; it does depend on the choice of cell vectors. For weighted PCA the max frame decides:
between equal eigenvalues, since the sum gets 1e-4 of its trace times 2 e_1 e_1^T + e_2 e_2^T of the max
frame, and on the signs, since an eigenvector points along the first axis of the max frame to which it is not
nearly perpendicular.

Where all images lie on one line, e_2 and e_3 are zero vectors: they make the angle with every image the same
right angle that any true choice would. Frames carry no gradient.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from crystalformer.layers.segments import segment_ids, segment_offsets, segment_sum
from crystalformer.model.images import ImageList

SAME_PLACE = 1e-5  # Å^2; nearer than this an image has no direction
SAME_WEIGHT = 1e-4  # in log w
COLLINEAR = 0.9999  # abs(cos) above which an image cannot give e_2
ASIDE = 1e-5  # smallest 1 - abs(cos) in a product
STEPS = 1000  # per cell vector, in which displacements are compared
GUIDANCE = 1e-4  # share of the max frame in the weighted PCA


@dataclass(frozen=True)
class Directions:
    """Where the images of an `ImageList` lie as seen from the query atom.

    | field | shape | unit | meaning |
    |---|---|---|---|
    | `query` | (images,) int64 | - | atom i |
    | `pair` | (images,) int64 | - | row of (i, j) among all pairs of atoms of a crystal, sorted by (i, j) |
    | `counts` | (atoms,) int64 | - | images of each atom |
    | `unit` | (images, 3) | - | rhat; 0 for an image at the atom itself |
    | `rank` | (images,) int64 | - | place in the order that decides between equals, increasing |
    """

    query: Int[Tensor, " images"]
    pair: Int[Tensor, " images"]
    counts: Int[Tensor, " atoms"]
    unit: Float[Tensor, "images 3"]
    rank: Int[Tensor, " images"]

    @cached_property
    def by_rank(self) -> Int[Tensor, " images"]:
        """(images,) int64: the image at each place of the order."""
        return self.rank.argsort()

    @cached_property
    def present(self) -> Bool[Tensor, " images"]:
        """(images,) bool: whether the image has a direction."""
        return self.unit.detach().abs().amax(1) > 0


def list_directions(
    positions: Float[Tensor, "atoms 3"], lattices: Float[Tensor, "crystals 3 3"], images: ImageList
) -> Directions:
    """Directions of the images of a batch, differentiable in positions (atoms, 3) and lattices, both in Å.

    Raises:
        ValueError: the list says how far its images are and not in which cells.
    """
    if images.cell is None:
        raise ValueError("images: expected a list with the cell of each image, got one with distances alone")
    counts = images.offsets.diff()
    query = segment_ids(counts)
    crystal = segment_ids(images.sizes)[query]
    displacement = positions[images.key] - positions[query]
    displacement = displacement + torch.einsum(
        "mc,mcx->mx", images.cell.to(positions.dtype), lattices[crystal]
    )
    squared = displacement.square().sum(1, keepdim=True)
    apart = squared > SAME_PLACE
    unit = torch.where(apart, displacement, 0.0) / torch.where(apart, squared, 1.0).sqrt()
    fractional = torch.einsum(
        "mx,mxc->mc", displacement.detach(), torch.linalg.inv(lattices.detach())[crystal]
    )
    # multiples of a thousandth, off those that crystals prefer, so that rounding cannot reorder equals
    steps = (fractional * STEPS + 1 / math.pi).floor().long()
    order = torch.arange(len(query), device=query.device)
    for column in reversed(range(3)):
        order = order[steps[order, column].argsort(stable=True)]
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    first_atom = segment_offsets(images.sizes)[crystal]
    row = (query - first_atom) * images.sizes[crystal] + images.key - first_atom
    pair = segment_offsets(images.sizes**2)[crystal] + row
    return Directions(query, pair, counts, unit, rank)


Frames = Callable[[Tensor, Directions], Tensor]


@torch.no_grad()
def max_frames(
    log_weights: Float[Tensor, "images heads"], directions: Directions
) -> Float[Tensor, "atoms heads 3 3"]:
    """Max frames from log w (images, heads), -inf where w = 0; (atoms, heads, 3 axes, 3)."""
    unit = directions.unit
    log_weights = log_weights.masked_fill(~directions.present[:, None], -math.inf)
    first = _direction_of_largest(log_weights, directions)
    cosine = torch.einsum("mhx,mx->mh", first[directions.query], unit).abs()
    aside = log_weights + (1 - cosine).clamp(min=ASIDE).log()
    second = _direction_of_largest(aside.masked_fill(cosine >= COLLINEAR, -math.inf), directions)
    second = second - (second * first).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=2)


@torch.no_grad()
def weighted_pca_frames(
    log_weights: Float[Tensor, "images heads"], directions: Directions, guides: Frames = max_frames
) -> Float[Tensor, "atoms heads 3 3"]:
    """Weighted-PCA frames from log w (images, heads), -inf where w = 0; (atoms, heads, 3 axes, 3).

    `guides` makes the max frames that decide.
    """
    unit, query = directions.unit, directions.query
    guide = guides(log_weights, directions)
    weights = log_weights.masked_fill(~directions.present[:, None], -math.inf)
    largest = _segment_max(weights, query, len(directions.counts))
    weights = (weights - largest.clamp(min=torch.finfo(weights.dtype).min)[query]).exp()
    outer = unit[:, :, None] * unit[:, None, :]
    scatter = segment_sum(weights[..., None] * outer.flatten(1)[:, None], directions.counts)
    scatter = scatter.unflatten(-1, (3, 3))
    trace = scatter.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    preference = guide.new_tensor([2.0, 1.0, 0.0])
    guided = torch.einsum("k,ahkx,ahky->ahxy", preference, guide, guide)
    _, vectors = torch.linalg.eigh(scatter + GUIDANCE * trace * guided)
    axes = vectors.transpose(-1, -2).flip(-2)[:, :, :2]  # rows, the largest eigenvalue first
    along = torch.einsum("ahkx,ahgx->ahkg", axes, guide)
    decisive = (along.abs() > 0.1).to(along.dtype).argmax(-1, keepdim=True)  # the first axis of the max frame
    sign = torch.where(along.gather(-1, decisive) < 0, -1.0, 1.0)
    first, second = (axes * sign).unbind(2)
    flat = (guide[:, :, 1].abs().amax(-1, keepdim=True) == 0).to(first.dtype)  # one line, or nothing
    first = torch.where(flat > 0, guide[:, :, 0], first)
    second = second * (1 - flat)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=2)


def choose_frames(frames: str, kernel: str) -> Frames:
    """The function for the settings `frames` ("max" or "weighted-pca") and `kernel`.

    With the kernels "auto" and "cpu" max frames are `fused_max_frames` where these can take their place, for
    float32 and float64 on a CPU.
    """
    largest: Frames = max_frames
    if kernel in ("auto", "cpu") and find_spec("numba") is not None:
        largest = _fused_or_plain()
    return largest if frames == "max" else partial(weighted_pca_frames, guides=largest)


def _fused_or_plain() -> Frames:
    from crystalformer.model.kernels import cpu_frames  # here, as Numba takes half a second to load

    limits = SAME_WEIGHT, COLLINEAR, ASIDE

    @torch.no_grad()
    def frames_of(log_weights: Tensor, directions: Directions) -> Tensor:
        unit = directions.unit
        if unit.device.type != "cpu" or not unit.dtype == log_weights.dtype in cpu_frames.FLOATS:
            return max_frames(log_weights, directions)
        return cpu_frames.fused_max_frames(log_weights, unit, directions.counts, directions.rank, limits)

    return frames_of


def _direction_of_largest(scores: Tensor, directions: Directions) -> Tensor:
    """rhat of the image with the largest score, 0 where all are -inf; (atoms, heads, 3)."""
    atoms = len(directions.counts)
    largest = _segment_max(scores, directions.query, atoms)
    tied = (scores >= largest[directions.query] - SAME_WEIGHT) & (scores > -math.inf)
    ranks = directions.rank[:, None].expand_as(scores).masked_fill(~tied, -1)
    chosen = _segment_max(ranks, directions.query, atoms)
    found = directions.unit[directions.by_rank[chosen.clamp(min=0)]]
    return found * (chosen >= 0)[..., None]


def _segment_max(values: Tensor, query: Tensor, atoms: int) -> Tensor:
    """Largest value of each atom and head; (atoms, heads)."""
    lowest = -math.inf if values.is_floating_point() else -1
    result = values.new_full((atoms, values.shape[1]), lowest)
    return result.scatter_reduce(0, query[:, None].expand_as(values), values, "amax")
