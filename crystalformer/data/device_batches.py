"""`DeviceBatches`: crystals and their image lists on the device, and batches of fixed shape gathered there.

Nothing of a batch comes from the host but which crystals it has: their rows are copied by index arithmetic.
A batch of B crystals is padded to a `Capacity` with one more crystal, which holds all atoms and images that
are left over. Each of its atoms sees only itself, so it is as good a crystal as any, and whatever reads an
`ImageBatch` reads such a batch, too. Nothing flows from it to the others, and a loss leaves it out.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from crystalformer.data.batch import flat_rows
from crystalformer.data.capacity import Capacity
from crystalformer.data.image_batch import ImageBatch, ImageBatches
from crystalformer.data.images_by_key import ImagesByKey, sort_by_key


@dataclass(frozen=True)
class DeviceBatch(ImageBatch):
    """An `ImageBatch` whose last crystal is padding; its images are known by key as well."""

    checked: ClassVar[bool] = True
    image_queries: Int[Tensor, " images"]
    key_order: Int[Tensor, " images"]
    key_offsets: Int[Tensor, " atoms+1"]

    @property
    def real(self) -> int:
        """How many crystals there are before the padding."""
        return len(self) - 1

    @property
    def images_by_key(self) -> ImagesByKey:
        """The same images in the order of their keys."""
        return ImagesByKey(self.image_queries, self.key_order, self.key_offsets)


class DeviceBatches:
    """The crystals of some store rows, resident on a device.

    Whoever makes it has checked them: batches say that they are.

    Args:
        source: where crystals, scaled targets and image lists come from.
        rows: store rows, each once.
        device: where the arrays are kept and batches are made.
    """

    def __init__(
        self, source: ImageBatches, rows: Int[np.ndarray, " crystals"], device: torch.device | str
    ) -> None:
        self.device = torch.device(device)
        self.rows = np.asarray(rows, dtype=np.int64)
        self.places = np.full(len(source.store), -1)  # of a store row among the arrays
        self.places[self.rows] = np.arange(len(self.rows))
        store, lists = source.store, source.lists
        starts = store.offsets[self.rows]
        atoms = flat_rows(starts, store.offsets[self.rows + 1] - starts)
        first_images = lists.offsets[atoms]
        counts = lists.offsets[atoms + 1] - first_images
        images = flat_rows(first_images, counts)
        crystals = source.crystals(self.rows)
        self.atoms = crystals.sizes.numpy()  # of each crystal
        self._radius = source.radius
        self.images = np.add.reduceat(counts, np.cumsum(self.atoms) - self.atoms)
        self._numbers = crystals.numbers.to(device)
        self._positions = crystals.positions.to(device)
        self._lattices = crystals.lattices.to(device)
        self._targets = crystals.targets.to(device)
        self._indices = crystals.indices.to(device)
        self._first_atom = _starts(self.atoms).to(device)
        self._first_image = _starts(self.images).to(device)
        self._offsets = _starts(counts).to(device)  # of all images, by query atom
        self._distances = torch.from_numpy(lists.distances[images]).to(device)
        self._keys = torch.from_numpy(lists.keys[images].astype(np.int32)).to(device)  # within the crystal
        self._sort()

    def _sort(self) -> None:
        """The images of all crystals by key: of the crystals in turn, since keys increase with them."""
        first = torch.repeat_interleave(self._first_atom[:-1], torch.from_numpy(self.images).to(self.device))
        by_key = sort_by_key(self._keys + first, self._offsets)
        first = torch.repeat_interleave(self._first_image[:-1], torch.from_numpy(self.images).to(self.device))
        self._order = (by_key.order - first).int()  # within the crystal
        self._key_offsets = by_key.offsets

    @staticmethod
    def bytes_of(source: ImageBatches, rows: Int[np.ndarray, " crystals"]) -> int:
        """Memory that the arrays of these crystals take while they are sorted, which is the most."""
        starts, stops = source.store.offsets[rows], source.store.offsets[rows + 1]
        images = int((source.lists.offsets[stops] - source.lists.offsets[starts]).sum())
        return 64 * images + 64 * int((stops - starts).sum())

    def need(self, indices: Int[np.ndarray, " crystals"]) -> tuple[int, int]:
        """Atoms and images of the crystals with these store rows."""
        places = self.places[indices]
        return int(self.atoms[places].sum()), int(self.images[places].sum())

    def __call__(self, indices: Int[np.ndarray, " crystals"]) -> DeviceBatch:
        """The crystals with these store rows, in this order, with no more padding than must be."""
        atoms, images = self.need(indices)
        return self.gather(self.upload(indices), Capacity(atoms + 1, images + 1))

    def upload(self, indices: Int[np.ndarray, "*shape"]) -> Int[Tensor, "*shape"]:
        """Which crystals these store rows are here, on the device.

        Raises:
            ValueError: a row is not here.
        """
        places = self.places[indices]
        if (places < 0).any():
            missing = int(np.asarray(indices)[places < 0].flat[0])
            raise ValueError(f"indices: expected rows that are on {self.device}, got {missing}, which is not")
        return torch.from_numpy(places).to(self.device)

    def gather(self, places: Int[Tensor, " B"], capacity: Capacity) -> DeviceBatch:
        """The crystals at `places`, see `upload`, padded to a capacity that holds them.

        Every shape follows from B and the capacity, and the host waits for nothing.
        """
        sizes = self._first_atom[places + 1] - self._first_atom[places]
        atoms = _Slots(sizes, self._first_atom[places], capacity.atoms, self.device)
        images = _Slots(
            self._first_image[places + 1] - self._first_image[places],
            self._first_image[places],
            capacity.images,
            self.device,
        )
        offsets = self._image_offsets(self._offsets, atoms, images, capacity)
        row = torch.arange(capacity.images, device=self.device)
        query = torch.searchsorted(offsets, row, right=True) - 1
        key = self._keys[images.source] + atoms.start[images.segment]
        order = self._order[images.source] + images.start[images.segment]
        return DeviceBatch(
            numbers=self._numbers[atoms.source].masked_fill(atoms.padding, 1),
            positions=self._positions[atoms.source].masked_fill(atoms.padding[:, None], 0.0),
            lattices=torch.cat([self._lattices[places], torch.eye(3, device=self.device)[None]]),
            sizes=torch.cat([sizes, capacity.atoms - sizes.sum()[None]]),
            targets=torch.nn.functional.pad(self._targets[places], (0, 0, 0, 1)),
            indices=torch.nn.functional.pad(self._indices[places], (0, 1), value=-1),
            image_offsets=offsets,
            image_keys=torch.where(images.padding, query, key),
            image_distances=self._distances[images.source].masked_fill(images.padding, 0.0),
            image_radius=self._radius,
            image_queries=query,
            key_order=torch.where(images.padding, row, order),
            key_offsets=self._image_offsets(self._key_offsets, atoms, images, capacity),
        )

    def _image_offsets(self, stored: Tensor, atoms: "_Slots", images: "_Slots", capacity: Capacity) -> Tensor:
        """(atoms + 1,): where the images of each atom begin; padding shares out what is left over."""
        within = stored[atoms.source] - stored[atoms.first[atoms.segment]]
        left = capacity.images - images.total
        shared = images.total + atoms.rank * left // (capacity.atoms - atoms.total)
        offsets = torch.where(atoms.padding, shared, images.start[atoms.segment] + within)
        return torch.nn.functional.pad(offsets, (0, 1), value=capacity.images)


class _Slots:
    """Rows of a padded array in which some segments of a stored array follow each other.

    | field | shape | meaning |
    |---|---|---|
    | `segment` | (rows,) | segment of each row; B: padding |
    | `source` | (rows,) | stored row of each row; 0 where there is none |
    | `padding` | (rows,) bool | whether there is none |
    | `rank` | (rows,) | place within the segment |
    | `start` | (B + 1,) | first row of each segment, and of the padding |
    | `first` | (B + 1,) | first stored row of each segment; 0 for the padding |
    | `total` | () | rows that are no padding |
    """

    def __init__(self, sizes: Tensor, first: Tensor, rows: int, device: torch.device) -> None:
        ends = sizes.cumsum(0)
        self.start = torch.nn.functional.pad(ends, (1, 0))
        self.first = torch.nn.functional.pad(first, (0, 1))
        self.total = ends[-1]
        row = torch.arange(rows, device=device)
        self.segment = torch.searchsorted(ends, row, right=True)
        self.padding = row >= self.total
        self.rank = row - self.start[self.segment]
        self.source = (self.first[self.segment] + self.rank).masked_fill(self.padding, 0)


def _starts(sizes: np.ndarray) -> Tensor:
    """(segments + 1,) int64: the first row of each segment and the end of the last."""
    return torch.from_numpy(np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]))
