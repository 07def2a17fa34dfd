"""`Geometry`: where the atoms of a batch are, in the forms that attention asks for."""

import math
from functools import cached_property

import torch
from torch import Tensor

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.crystal import MIN_RELATIVE_VOLUME
from crystalformer.data.image_batch import ImageBatch
from crystalformer.layers.radial_basis import GaussianBasis
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.frames import Directions, list_directions
from crystalformer.model.images import ImageList, list_images, list_images_within
from crystalformer.model.waves import Waves, list_waves


class Geometry:
    """Images, their directions, and waves of a batch.

    Each is made when first asked for and shared by all blocks and heads.
    """

    def __init__(self, batch: CrystalBatch, config: CrystalformerConfig, basis: GaussianBasis | None) -> None:
        self._batch, self._config, self._basis = batch, config, basis

    @cached_property
    def images(self) -> ImageList:
        """The periodic images within range, for attention in real space.

        An `ImageBatch` brings those within a radius along.

        Raises:
            ValueError: its radius is not that of the configuration, or a cell is too small to be listed.
        """
        batch, radius = self._batch, self._config.images_radius
        if radius is None or not isinstance(batch, ImageBatch) or self._directed:
            return self._listed(radius)
        if not math.isclose(batch.image_radius, radius, rel_tol=1e-9):
            raise ValueError(
                f"image_radius: expected images within {radius:g} Å, the radius of the model (lattice_range="
                f"{self._config.lattice_range!r}), got a batch with those within {batch.image_radius:g} Å; "
                f"cut the batches by ImageBatches with radius={radius!r}"
            )
        return ImageList(
            sizes=batch.sizes,
            offsets=batch.image_offsets,
            key=batch.image_keys,
            cell=None,
            distance=batch.image_distances,
            reach=None,
            sigma_max=self._config.sigma_max,
            basis=self._basis,
            keyed=batch.images_by_key,
        )

    @property
    def _directed(self) -> bool:
        """Whether frames ask for the cells of the images, which the lists of an `ImageBatch` leave out."""
        return self._config.frames != "none"

    def _listed(self, radius: float | None) -> ImageList:
        """The images within the radius, or within the box of the configuration."""
        batch, config, names = self._batch, self._config, _Names(self._batch)
        arrays = (batch.positions, batch.lattices, batch.sizes)
        if radius is None:
            box = config.minimum_box
            return list_images(
                *arrays, config.lattice_range, config.sigma_max, self._basis, box, names, self._directed
            )
        return list_images_within(*arrays, radius, config.sigma_max, self._basis, names, self._directed)

    @cached_property
    def directions(self) -> Directions:
        """Where the images lie, for attention with frames."""
        return list_directions(self._batch.positions, self._batch.lattices, self.images)

    @cached_property
    def waves(self) -> Waves:
        """The plane waves within range, for attention in reciprocal space."""
        batch = self._batch
        return list_waves(batch.positions, batch.lattices, batch.sizes, self._config.reciprocal_range)


def check_batch(batch: CrystalBatch, elements: int) -> None:
    """Refuses what no model can predict from.

    Raises:
        ValueError: an element is unknown, a coordinate is not a finite number, or a lattice has no volume;
            the message names the first crystal of that kind by its place in the batch and its row in the
            array store.
    """
    if batch.occupancy is not None:
        _check_occupancy(batch, batch.occupancy, elements)
    lattices = batch.lattices.detach()
    # as in `Crystal`: below this the cell vectors lie in a plane, but for rounding
    smallest = MIN_RELATIVE_VOLUME * lattices.norm(dim=2).prod(1)
    known = (batch.numbers >= 1) & (batch.numbers <= elements)
    placed = batch.positions.isfinite().all(1)
    volumes = torch.linalg.det(lattices).abs()
    regular = volumes > smallest  # not where a number is NaN
    regular &= lattices.isfinite().flatten(1).all(1)
    if bool(known.all() & placed.all() & regular.all()):
        return
    if not bool(known.all()):
        atom = _first(~known)
        problem = (
            f"numbers: expected atomic numbers Z from 1 to {elements}, got Z = {int(batch.numbers[atom])}"
        )
        hint = "" if int(batch.numbers[atom]) < 1 else "; the setting `elements` can be raised to 118"
        raise ValueError(f"{problem} in {_atom_name(batch, atom)}{hint}")
    if not bool(placed.all()):
        atom = _first(~placed)
        raise ValueError(
            f"positions: expected finite numbers, got {batch.positions[atom].tolist()} in "
            f"{_atom_name(batch, atom)}"
        )
    crystal = _first(~regular)
    if not bool(batch.lattices[crystal].isfinite().all()):
        raise ValueError(f"lattices: expected finite numbers, got others in crystal {_Names(batch)[crystal]}")
    raise ValueError(
        f"lattices: expected three cell vectors that span a volume, got {volumes[crystal]:.3g} Å^3 in "
        f"crystal {_Names(batch)[crystal]}"
    )


def _check_occupancy(batch: CrystalBatch, occupancy: Tensor, elements: int) -> None:
    unknown = (occupancy[:, elements:] != 0).any(1)
    if bool(unknown.any()):
        atom = _first(unknown)
        z = elements + 1 + _first(occupancy[atom, elements:] != 0)
        raise ValueError(
            f"occupancy: expected atomic numbers Z from 1 to {elements}, got a share of Z = {z} in "
            f"{_atom_name(batch, atom)}; the setting `elements` can be raised to 118"
        )
    total = occupancy.sum(1)
    possible = (occupancy >= 0).all(1) & (total > 0) & (total <= 1 + 1e-4)  # not where a share is NaN
    if not bool(possible.all()):
        atom = _first(~possible)
        raise ValueError(
            f"occupancy: expected shares of at least 0, above 0 and at most 1 in all, got "
            f"{float(total[atom]):.4g} in all in {_atom_name(batch, atom)}"
        )


def _first(wrong: Tensor) -> int:
    return int(wrong.nonzero()[0])


def _atom_name(batch: CrystalBatch, atom: int) -> str:
    crystal = int(batch.crystal_of_atom[atom])
    within = atom - int(batch.sizes[:crystal].sum())
    return f"atom {within} of crystal {_Names(batch)[crystal]}"


class _Names:
    """Names of a batch's crystals for messages, made when asked for."""

    def __init__(self, batch: CrystalBatch) -> None:
        self._indices = batch.indices

    def __getitem__(self, crystal: int) -> str:
        return f"{crystal} of the batch (row {int(self._indices[crystal])} of its store)"
