"""The periodic images each atom attends to, and their distances.

Image n of atom j lies at p_j(n) = p_j + n_1 l_1 + n_2 l_2 + n_3 l_3. The sum over n is infinite, and it ends
with a radius, r <= R, or by one of two conventions of the authors' implementation:

* a fixed box: |n_d| <= R for d = 1, 2, 3;
* "adaptive": a box for each query atom i and head h,
  |n_d| <= R_d = max(2, ceil((3.5 sigma_ih + 0.01 Å) |l*_d| / 2 pi)),
  where l*_d are the reciprocal vectors, and 2, as published, is the argument `minimum_box`. |l*_d| / 2 pi is
  one over the spacing of the lattice planes that n_d counts, so the box holds a ball of about 3.5 sigma
  (Sec. 3.2 of the paper has the same rule without the 0.01 Å).

sigma_ih differs between blocks, heads and training steps, but it is below sigma_max. One list for the
largest box is therefore made once per batch, and each image carries its *reach*: the cutoff above which the
box of a head includes it. The box test for all three directions becomes one comparison,

    |n_d| <= ceil(c |l*_d| / 2 pi)  <=>  c > (|n_d| - 1) 2 pi / |l*_d|,   c = 3.5 sigma + 0.01 Å.

Images are left out of the list of a box where their Gaussian cannot matter: next to the nearest image of the
same pair (i, j), which has the same q_i.k_j, they weigh less than the rounding error of one number even at
sigma_max.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from crystalformer.data.box_images import box_images
from crystalformer.data.image_search import FoundImages
from crystalformer.data.images_by_key import ImagesByKey, sort_by_key
from crystalformer.data.radius_images import radius_images
from crystalformer.layers.radial_basis import GaussianBasis
from crystalformer.layers.segments import segment_ids, segment_offsets
from crystalformer.model.portions import Portions, share_out
from crystalformer.model.tiles import Tiles, pack_tiles

CUTOFF_SIGMAS = 3.5
CUTOFF_MARGIN = 0.01  # Å
MINIMUM_BOX = 2  # of the adaptive rule, as published
MAX_CELLS = 2_000_000  # cells of one box; more come from a lattice that is flat or in the wrong unit


@dataclass(frozen=True)
class ImageList:
    """All images of all query atoms of a batch, sorted by (query i, key j, cell n).

    | field | shape | unit | meaning |
    |---|---|---|---|
    | `sizes` | (crystals,) int64 | - | atoms per crystal |
    | `offsets` | (atoms + 1,) int64 | - | the images of atom i are rows offsets[i] to offsets[i+1] |
    | `key` | (images,) int64 | - | atom j in the batch |
    | `cell` | (images, 3) int64 or None | - | n; None where nothing asks for it |
    | `distance` | (images,) | Å | r = abs(p_j(n) - p_i) |
    | `reach` | (images,) or None | Å | cutoff above which a head includes the image; None: always |

    `sigma_max` (Å) bounds sigma_ih; `basis` is b(r) of the value encoding, None in the simplified model.
    `keyed` is what `by_key` gives, where it is known beforehand.
    """

    sizes: Int[Tensor, " crystals"]
    offsets: Int[Tensor, " boundaries"]
    key: Int[Tensor, " images"]
    cell: Int[Tensor, "images 3"] | None
    distance: Float[Tensor, " images"]
    reach: Float[Tensor, " images"] | None
    sigma_max: float
    basis: GaussianBasis | None
    keyed: ImagesByKey | None = None

    @cached_property
    def by_key(self) -> ImagesByKey:
        """The same images in the order of their keys; made when first asked for."""
        return self.keyed or sort_by_key(self.key, self.offsets)

    @cached_property
    def crystal_offsets(self) -> Int[Tensor, " boundaries"]:
        """(crystals + 1,) int64: the first atom of each crystal."""
        return segment_offsets(self.sizes)

    @cached_property
    def pair_sizes(self) -> Int[Tensor, " pairs"]:
        """(pairs,) int64: images of each pair (i, j) of atoms of a crystal; pairs sorted by (i, j)."""
        query = segment_ids(self.offsets.diff())
        crystal = segment_ids(self.sizes)[query]
        first_pair = segment_offsets(self.sizes**2)[crystal]
        first_atom = self.crystal_offsets[crystal]
        pair = first_pair + (query - first_atom) * self.sizes[crystal] + self.key - first_atom
        return torch.bincount(pair, minlength=int((self.sizes**2).sum()))

    @cached_property
    def portions(self) -> Portions:
        """The work on a batch in portions; made when first asked for, as the tiles."""
        return share_out(self.sizes, self.offsets)

    @cached_property
    def tiles(self) -> Tiles:
        """The padded view; made when first asked for, shared by all blocks of a forward pass."""
        far = 1e3 * self.sigma_max  # exp(-far^2 / (2 sigma^2)) is 0 in any floating-point format
        return pack_tiles(self.sizes, self.pair_sizes, self.distance, self.reach, self.basis, far)


def list_images(
    positions: Float[Tensor, "atoms 3"],
    lattices: Float[Tensor, "crystals 3 3"],
    sizes: Int[Tensor, " crystals"],
    lattice_range: int | str,
    sigma_max: float,
    basis: GaussianBasis | None = None,
    minimum_box: int = MINIMUM_BOX,
    names: Any = None,
    cells: bool = True,
) -> ImageList:
    """Lists the images of a batch for a range rule.

    Distances are differentiable in positions and lattices; which images are listed is not.

    Args:
        positions: (atoms, 3) in Å, not necessarily inside the cell; n counts from where the atoms are.
        lattices: (crystals, 3, 3) in Å, rows are l_1, l_2, l_3, of either handedness.
        sizes: (crystals,) int64.
        lattice_range: R of a fixed box, or "adaptive".
        sigma_max: upper bound of sigma_ih in Å.
        basis: radial basis of the value encoding.
        minimum_box: smallest R_d of "adaptive".
        names: of the crystals, for messages; by default their numbers.
        cells: whether the list says in which cells the images lie.

    Raises:
        ValueError: a lattice has no volume, or one so small that its box has too many cells.
    """
    batch = _Arrays(positions, lattices, sizes, cells)
    names = range(len(sizes)) if names is None else names
    planes = _planes_per_angstrom(batch.lattices, names)
    adaptive = lattice_range == "adaptive"
    if adaptive:
        cutoff = CUTOFF_SIGMAS * sigma_max + CUTOFF_MARGIN
        ranges = np.maximum(minimum_box, np.ceil(cutoff * planes))
    else:
        ranges = np.full(planes.shape, float(lattice_range))
    _check_counts(ranges, planes, names)
    images = box_images(
        batch.positions,
        batch.lattices,
        batch.sizes,
        ranges.astype(np.int64),
        # the smallest box of any head: its nearest image is summed by every head that sums the pair at all
        inner=max(1, minimum_box),
        excess=2 * sigma_max**2 * math.log(1 / torch.finfo(positions.dtype).eps),
        spacings=1 / planes if adaptive else None,
        free=minimum_box,
        dtype=batch.positions.dtype,
        cells=batch.cells_needed,
    )
    return batch.list_of(images, sigma_max, basis)


def list_images_within(
    positions: Float[Tensor, "atoms 3"],
    lattices: Float[Tensor, "crystals 3 3"],
    sizes: Int[Tensor, " crystals"],
    radius: float,
    sigma_max: float,
    basis: GaussianBasis | None = None,
    names: Any = None,
    cells: bool = True,
) -> ImageList:
    """All images of a batch within a radius in Å; everything else as for `list_images`.

    A pair (i, j) may have no image within the radius. It is then no part of the softmax of atom i, which is
    never empty: the atom itself is always listed.
    """
    batch = _Arrays(positions, lattices, sizes, cells)
    images = radius_images(
        batch.positions,
        batch.lattices,
        batch.sizes,
        radius,
        dtype=batch.positions.dtype,
        cells=batch.cells_needed,
        names=names,
    )
    return batch.list_of(images, sigma_max, basis)


class _Arrays:
    """A batch as arrays for the search, and what it finds as an `ImageList`."""

    def __init__(self, positions: Tensor, lattices: Tensor, sizes: Tensor, cells: bool) -> None:
        self._tensors = positions, lattices, sizes
        arrays = [tensor.detach().cpu().numpy() for tensor in self._tensors]
        self.positions, self.lattices, self.sizes = arrays
        self._cells = cells
        self._differentiable = positions.requires_grad or lattices.requires_grad
        self.cells_needed = cells or self._differentiable

    def list_of(self, images: FoundImages, sigma_max: float, basis: GaussianBasis | None) -> ImageList:
        positions, lattices, sizes = self._tensors
        counts, key = (torch.from_numpy(x).to(sizes) for x in (images.counts, images.keys))
        query = segment_ids(counts)
        key += segment_offsets(sizes)[segment_ids(sizes)][query]
        cell = torch.from_numpy(images.cells).to(sizes) if self.cells_needed else None
        if self._differentiable and cell is not None:
            distance = _distances(positions, lattices, sizes, query, key, cell)
        else:  # the same from the search, without another pass
            distance = torch.from_numpy(images.distances).to(positions)
        return ImageList(
            sizes=sizes,
            offsets=segment_offsets(counts),
            key=key,
            cell=cell if self._cells else None,
            distance=distance,
            reach=torch.from_numpy(images.reaches).to(positions) if len(images.reaches) else None,
            sigma_max=sigma_max,
            basis=basis,
        )


def _planes_per_angstrom(lattices: np.ndarray, names: Any) -> np.ndarray:
    """|l*_d| / 2 pi, one over the spacing of the lattice planes d, in 1/Å; (crystals, 3)."""
    lattices = lattices.astype(np.float64)
    flat = np.linalg.det(lattices) == 0
    if flat.any():
        raise ValueError(f"lattices: expected a volume above 0, got 0 in crystal {names[int(flat.argmax())]}")
    return np.linalg.norm(np.linalg.inv(lattices), axis=1)  # the columns of the inverse are l*_d / 2 pi


def _check_counts(ranges: np.ndarray, planes: np.ndarray, names: Any) -> None:
    """Refuses boxes of too many cells."""
    counts = (2 * ranges + 1).prod(1)
    if (counts > MAX_CELLS).any():
        crystal = int(counts.argmax())
        raise ValueError(
            f"lattices: expected cells of some tenths of Å or more in every direction, got plane spacings of "
            f"{[round(1 / p, 4) for p in planes[crystal].tolist()]} Å in crystal {names[crystal]} "
            f"({counts[crystal]:.0f} cells)"
        )


def box_cutoff(a: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """3.5 sigma + 0.01 Å of decay rates a = -1 / (2 sigma^2); infinite where a = 0. Carries no gradient."""
    return CUTOFF_SIGMAS * (2 * a.detach().abs()).rsqrt() + CUTOFF_MARGIN


def _distances(
    positions: Tensor, lattices: Tensor, sizes: Tensor, query: Tensor, key: Tensor, cell: Tensor
) -> Tensor:
    """|p_j(n) - p_i| in Å; its gradient at 0, an atom's distance to itself, is 0."""
    crystal = segment_ids(sizes)[query]
    shift = torch.einsum("mc,mcx->mx", cell.to(positions.dtype), lattices[crystal])
    return torch.linalg.vector_norm(positions[key] - positions[query] + shift, dim=1)
