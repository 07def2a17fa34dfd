"""The image list as padded rectangles, so that plain tensor operations can sum over it.

Crystals of similar size share a tile. Within a tile every crystal is padded to N atoms and every pair of
atoms to S images, which makes q_i.k_j a matrix product, its spread over the images of a pair a broadcast,
and the average of the radial basis a batched matrix product. Padding lies so far away that its Gaussian is
exactly 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from crystalformer.layers.radial_basis import GaussianBasis
from crystalformer.layers.segments import segment_ids, segment_offsets

TILE_OVERHEAD = 1000  # images that may be padded to save one more tile: about the cost of its operations


@dataclass(frozen=True)
class Tile:
    """C crystals of up to N atoms whose pairs have up to S images.

    | field | unit | meaning |
    |---|---|---|
    | `squared` | Å^2 | r^2 of query, (head), key, image |
    | `reach` | Å | see `ImageList`; None where every head includes every image |
    | `basis` | - | b(r) |
    """

    squared: Float[Tensor, "C N 1 N S"]
    reach: Float[Tensor, "C N 1 N S"] | None
    basis: Float[Tensor, "C*N N*S K"] | None


@dataclass(frozen=True)
class Tiles:
    """The tiles of a batch, and `slots`: where its atoms lie among those of all tiles, padded."""

    tiles: tuple[Tile, ...]
    slots: Int[Tensor, " atoms"]

    def pad(self, values: Shaped[Tensor, " atoms *row"]) -> tuple[Shaped[Tensor, "_ _ *row"], ...]:
        """Rows of atoms as one (C, N, ...) per tile, 0 where there is no atom."""
        shapes = [tile.squared.shape[:2] for tile in self.tiles]
        padded = values.new_zeros(sum(c * n for c, n in shapes), *values.shape[1:])
        parts = padded.index_copy(0, self.slots, values).split([c * n for c, n in shapes])
        return tuple(part.unflatten(0, shape) for part, shape in zip(parts, shapes, strict=True))

    def unpad(self, parts: Sequence[Shaped[Tensor, "_ _ *row"]]) -> Shaped[Tensor, " atoms *row"]:
        """The inverse of `pad`."""
        return torch.cat([part.flatten(0, 1) for part in parts]).index_select(0, self.slots)


def pack_tiles(
    sizes: Int[Tensor, " crystals"],
    pair_sizes: Int[Tensor, " pairs"],
    distance: Float[Tensor, " images"],
    reach: Float[Tensor, " images"] | None,
    basis: GaussianBasis | None,
    far: float,
) -> Tiles:
    """Packs the flat arrays of an `ImageList`, described there; `far` is the distance of padding in Å."""
    pairs = sizes**2
    longest = torch.stack([counts.amax() for counts in pair_sizes.split(pairs.tolist())])
    groups = group_crystals(sizes.tolist(), longest.tolist())
    shapes = [(len(g), int(sizes[g].max()), int(longest[g].max())) for g in groups]

    # padded extent of the crystal's tile, and its first atom and image in the tiles laid end to end
    atoms_of, images_of, first_atom, first_image = (torch.zeros_like(sizes) for _ in range(4))
    atom_count = image_count = 0
    for group, (members, n, s) in zip(groups, shapes, strict=True):
        rank = torch.arange(members, device=sizes.device)
        atoms_of[group], images_of[group] = n, s
        first_atom[group] = atom_count + rank * n
        first_image[group] = image_count + rank * n * n * s
        atom_count += members * n
        image_count += members * n * n * s

    crystal = segment_ids(pairs)
    query = _rank_in_segment(pairs) // sizes[crystal]
    key = _rank_in_segment(pairs) % sizes[crystal]
    first_of_pair = first_image[crystal] + (query * atoms_of[crystal] + key) * images_of[crystal]
    places = first_of_pair.repeat_interleave(pair_sizes) + _rank_in_segment(pair_sizes)
    lengths = [c * n * n * s for c, n, s in shapes]
    distances = distance.new_full((image_count,), far).index_copy(0, places, distance).split(lengths)
    reaches: Sequence[Tensor | None] = [None] * len(shapes)
    if reach is not None:
        reaches = reach.new_zeros(image_count).index_copy(0, places, reach).split(lengths)
    return Tiles(
        tiles=tuple(_tile(*arrays, basis) for arrays in zip(shapes, distances, reaches, strict=True)),
        slots=first_atom.repeat_interleave(sizes) + _rank_in_segment(sizes),
    )


def group_crystals(sizes: Sequence[int], images: Sequence[int]) -> list[list[int]]:
    """Crystals that share a tile: similar in atoms and in images per pair.

    Goes through the crystals by size and opens a new tile where padding would cost more than a tile.
    """

    def volume(count: int, n: int, s: int) -> int:
        return count * n * n * s

    order = sorted(range(len(sizes)), key=lambda c: (sizes[c], images[c]))
    groups: list[list[int]] = []
    n = s = 0
    for c in order:
        if groups:
            group = groups[-1]
            joint_n, joint_s = max(n, sizes[c]), max(s, images[c])
            apart = volume(len(group), n, s) + volume(1, sizes[c], images[c])
            if volume(len(group) + 1, joint_n, joint_s) <= apart + TILE_OVERHEAD:
                group.append(c)
                n, s = joint_n, joint_s
                continue
        groups.append([c])
        n, s = sizes[c], images[c]
    return groups


def _tile(
    shape: tuple[int, int, int], distance: Tensor, reach: Tensor | None, basis: GaussianBasis | None
) -> Tile:
    c, n, s = shape
    if reach is not None and not bool(reach.any()):
        reach = None
    return Tile(
        squared=distance.square().view(c, n, 1, n, s),
        reach=None if reach is None else reach.view(c, n, 1, n, s),
        basis=None if basis is None else basis(distance).view(c * n, n * s, basis.size),
    )


def _rank_in_segment(sizes: Tensor) -> Tensor:
    """0, 1, ... within each segment: sizes [2, 3] give [0, 1, 0, 1, 2]."""
    total = torch.arange(int(sizes.sum()), device=sizes.device)
    return total - segment_offsets(sizes)[:-1].repeat_interleave(sizes)
