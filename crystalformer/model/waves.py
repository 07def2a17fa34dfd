"""The plane waves of each crystal: what attention in reciprocal space sums over instead of images.

The wave m = (m_1, m_2, m_3) has the vector w_m = m_1 b_1 + m_2 b_2 + m_3 b_3, where b_d are the reciprocal
vectors of the lattice (with 2 pi). For fractional coordinates f its phase is w_m.p = 2 pi m.f, which does not
change when an atom moves by a cell vector, and

    cos(w_m.(p_j - p_i)) = cos(w_m.p_i) cos(w_m.p_j) + sin(w_m.p_i) sin(w_m.p_j),

so that a sum over waves for all pairs of atoms is one matrix product. m and -m give the same cosine, hence
only one of them is kept, with weight 2.

Crystals of similar size share a tile and are padded to N atoms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from crystalformer.layers.segments import segment_ids, segment_offsets
from crystalformer.model.tiles import group_crystals


@dataclass(frozen=True)
class WaveTile:
    """C crystals of up to N atoms and their M waves.

    | field | shape | unit | meaning |
    |---|---|---|---|
    | `weight` | (M,) | - | how many waves each one stands for |
    | `squared` | (C, M) | 1/Å^2 | abs(w_m)^2 |
    | `phases` | (C, N, 2 M) | - | cos(w_m.p_i), then sin(w_m.p_i); 0 for padding |
    | `absent` | (C, 1, 1, N) bool | - | True for padding |
    """

    weight: Float[Tensor, " M"]
    squared: Float[Tensor, "C M"]
    phases: Float[Tensor, "C N 2*M"]
    absent: Bool[Tensor, "C 1 1 N"]


@dataclass(frozen=True)
class Waves:
    """The tiles of a batch, and `slots`: where its atoms lie among those of all tiles, padded."""

    tiles: tuple[WaveTile, ...]
    slots: Int[Tensor, " atoms"]

    def pad(self, values: Shaped[Tensor, " atoms *row"]) -> tuple[Shaped[Tensor, "_ _ *row"], ...]:
        """Rows of atoms as one (C, N, ...) per tile, 0 where there is no atom."""
        return _pad(values, self.slots, [tile.phases.shape[:2] for tile in self.tiles])

    def unpad(self, parts: Sequence[Shaped[Tensor, "_ _ *row"]]) -> Shaped[Tensor, " atoms *row"]:
        """The inverse of `pad`."""
        return torch.cat([part.flatten(0, 1) for part in parts]).index_select(0, self.slots)


def list_waves(
    positions: Float[Tensor, "atoms 3"],
    lattices: Float[Tensor, "crystals 3 3"],
    sizes: Int[Tensor, " crystals"],
    reciprocal_range: int,
) -> Waves:
    """All waves with |m_d| <= `reciprocal_range` of the crystals of a batch.

    Differentiable in positions and lattices.

    Args:
        positions: (atoms, 3) in Å, not necessarily inside the cell.
        lattices: (crystals, 3, 3) in Å, rows are l_1, l_2, l_3, of either handedness, with a volume.
        sizes: (crystals,) int64.
        reciprocal_range: largest |m_d|.
    """
    axis = torch.arange(-reciprocal_range, reciprocal_range + 1, device=positions.device)
    grid = torch.cartesian_prod(axis, axis, axis).to(positions.dtype)
    half = grid[len(grid) // 2 :]  # m = 0 first, then one of m and -m
    weight = positions.new_full((len(half),), 2.0)
    weight[0] = 1

    inverse = torch.linalg.inv(lattices)
    squared = (half @ inverse.transpose(1, 2)).square().sum(2) * (2 * math.pi) ** 2
    fractional = torch.einsum("ax,axd->ad", positions, inverse[segment_ids(sizes)])
    # whole cells change no phase; without them single precision is as good far from the origin
    fractional = fractional - fractional.detach().round()
    angle = 2 * math.pi * (fractional @ half.T)
    phases = torch.cat([angle.cos(), angle.sin()], dim=1)

    groups = group_crystals(sizes.tolist(), [len(half)] * len(sizes))
    shapes = [(len(group), int(sizes[group].max())) for group in groups]
    slots = _slots(sizes, groups, shapes)
    present = _pad(torch.ones_like(slots, dtype=torch.bool), slots, shapes)
    padded = _pad(phases, slots, shapes)
    return Waves(
        tiles=tuple(
            WaveTile(weight, squared[group], tile, ~here[:, None, None])
            for group, tile, here in zip(groups, padded, present, strict=True)
        ),
        slots=slots,
    )


def _slots(sizes: Tensor, groups: list[list[int]], shapes: list[tuple[int, int]]) -> Tensor:
    """Where each atom lies when the tiles (C, N) are laid end to end; (atoms,) int64."""
    first = torch.zeros_like(sizes)
    filled = 0
    for group, (members, n) in zip(groups, shapes, strict=True):
        first[group] = filled + n * torch.arange(members, device=sizes.device)
        filled += members * n
    return torch.arange(int(sizes.sum()), device=sizes.device) + (
        first - segment_offsets(sizes)[:-1]
    ).repeat_interleave(sizes)


def _pad(values: Tensor, slots: Tensor, shapes: Sequence[Sequence[int]]) -> tuple[Tensor, ...]:
    lengths = [c * n for c, n in shapes]
    padded = values.new_zeros(sum(lengths), *values.shape[1:]).index_copy(0, slots, values)
    parts = padded.split(lengths)
    return tuple(part.unflatten(0, tuple(shape)) for part, shape in zip(parts, shapes, strict=True))
