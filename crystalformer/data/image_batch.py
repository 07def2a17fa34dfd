"""`ImageBatch`: the crystals of one step with all periodic images within a radius.

In addition to the fields of `CrystalBatch`:

| field | shape | unit | meaning |
|---|---|---|---|
| `image_offsets` | (atoms + 1,) int64 | - | the images of atom i are rows offsets[i] to offsets[i + 1] - 1 |
| `image_keys` | (images,) int64 | - | atom j; a row of the batch, as i |
| `image_distances` | (images,) | Å | length of p_j + n L - p_i |
| `image_radius` | float | Å | within which all images are listed |

Rows are sorted by (i, j); the atom itself, at distance 0, is among them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatch, CrystalBatches, flat_rows
from crystalformer.data.image_lists import open_image_lists
from crystalformer.data.images_by_key import ImagesByKey


@dataclass(frozen=True)
class ImageBatch(CrystalBatch):
    """Crystals of one step and their images; see the module's table for shapes and units."""

    image_offsets: Int[Tensor, " atoms+1"]
    image_keys: Int[Tensor, " images"]
    image_distances: Float[Tensor, " images"]
    image_radius: float

    @property
    def images_by_key(self) -> ImagesByKey | None:
        """The same images in the order of their keys, where it is known."""
        return None


class ImageBatches(CrystalBatches):
    """Cuts batches with all images within a radius (Å) out of an array store.

    The lists of the whole store lie in `cache_folder`, or in memory, and are built at the first use (see
    `image_lists`); a call only slices them.
    """

    def __init__(
        self,
        store: ArrayStore,
        scaled_targets: Float[np.ndarray, "crystals targets"],
        cache_folder: Path | None,
        radius: float,
        *,
        mixed_sites: bool = False,
    ) -> None:
        super().__init__(store, scaled_targets, mixed_sites=mixed_sites)
        self.radius = float(radius)
        self.lists = open_image_lists(store, cache_folder, self.radius)

    def crystals(self, indices: Int[np.ndarray, " crystals"]) -> CrystalBatch:
        """The crystals with these store rows, in this order, without their images."""
        return super().__call__(indices)

    def __call__(self, indices: Int[np.ndarray, " crystals"]) -> ImageBatch:
        """The crystals with these store rows, in this order."""
        batch = self.crystals(indices)
        lists, store = self.lists, self.store
        first_atoms, last_atoms = store.offsets[indices], store.offsets[indices + 1]
        starts, stops = lists.offsets[first_atoms], lists.offsets[last_atoms]
        atoms = flat_rows(first_atoms, last_atoms - first_atoms)
        offsets = np.zeros(len(atoms) + 1, dtype=np.int64)
        np.cumsum(lists.offsets[atoms + 1] - lists.offsets[atoms], out=offsets[1:])
        sizes = batch.sizes.numpy()
        slices = [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]
        keys = np.concatenate([lists.keys[rows] for rows in slices]).astype(np.int64)
        keys += np.repeat(np.cumsum(sizes) - sizes, stops - starts)
        return ImageBatch(
            **vars(batch),
            image_offsets=torch.from_numpy(offsets),
            image_keys=torch.from_numpy(keys),
            image_distances=torch.from_numpy(np.concatenate([lists.distances[rows] for rows in slices])),
            image_radius=self.radius,
        )
