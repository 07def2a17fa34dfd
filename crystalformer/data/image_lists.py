"""The periodic images within a radius, for every atom of an array store, built once.

| file | shape | unit | meaning |
|---|---|---|---|
| `offsets.npy` | (N + 1,) int64 | - | the images of atom i are rows offsets[i] to offsets[i + 1] - 1 |
| `keys.npy` | (images,) uint16 | - | atom j of each image, counted within its crystal |
| `distances.npy` | (images,) float32 | Å | length of p_j + n L - p_i |

Rows are sorted by (i, j, n), and the atom itself, at distance 0, is among them. Positions are those of the
store in float64, so these distances are nearer to the truth than those of a batch in float32.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt

from crystalformer.data.array_cache import cores, open_arrays, with_progress
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.array_writers import ArrayWriter
from crystalformer.data.image_search import FoundImages
from crystalformer.data.radius_images import radius_images

RULE = "images within a radius, version 1"  # to be raised when the same radius gives other lists
CHUNK = 128  # crystals per task


class ImageLists(NamedTuple):
    """Opened lists; see the module's table."""

    offsets: Int[np.ndarray, " atoms+1"]
    keys: UInt[np.ndarray, " images"]
    distances: Float[np.ndarray, " images"]


def open_image_lists(
    store: ArrayStore, cache_folder: Path | None, radius: float, workers: int | None = None
) -> ImageLists:
    """The lists for a radius in Å, see `array_cache.open_arrays`; `workers` threads build (None: one a core).

    Raises:
        ValueError: a crystal whose images cannot be listed; the message names it.
    """
    largest = int(store.sizes.argmax())
    if store.sizes[largest] > np.iinfo(np.uint16).max + 1:
        raise ValueError(
            f"crystal {store.ids[largest]}: expected at most 65,536 atoms, got {store.sizes[largest]}"
        )
    identity = {"rule": RULE, "radius": float(radius)}
    arrays = open_arrays(
        store, cache_folder, "images", identity, lambda writer: _build(writer, store, radius, workers)
    )
    return ImageLists(arrays["offsets"], arrays["keys"], arrays["distances"])


def _build(writer: ArrayWriter, store: ArrayStore, radius: float, workers: int | None) -> None:
    offsets = np.zeros(len(store.numbers) + 1, dtype="<i8")
    atoms = 0
    with writer.growing("keys", "<u2") as keys, writer.growing("distances", "<f4") as r:
        for images in _images(store, radius, workers or cores()):
            offsets[1 + atoms : 1 + atoms + len(images.counts)] = images.counts
            atoms += len(images.counts)
            keys.append(images.keys)
            r.append(images.distances)
    writer.save("offsets", np.cumsum(offsets, dtype="<i8"))


def _images(store: ArrayStore, radius: float, workers: int) -> Iterator[FoundImages]:
    """The images of `CHUNK` crystals after the other, in the order of the store."""

    def images_of(first: int) -> FoundImages:
        rows = slice(first, min(first + CHUNK, len(store)))
        sizes, lattices = store.sizes[rows], np.asarray(store.lattices[rows])
        atoms = slice(store.offsets[first], store.offsets[rows.stop])
        positions = np.einsum("ni,nij->nj", store.frac_coords[atoms], np.repeat(lattices, sizes, axis=0))
        return radius_images(positions, lattices, sizes, radius, dtype=np.float32, names=store.ids[rows])

    starts = range(0, len(store), CHUNK)
    if len(starts) == 1:  # not worth a thread
        yield images_of(0)
        return
    with ThreadPoolExecutor(workers) as pool:  # threads, as the search runs without Python's lock
        parts = pool.map(images_of, starts)
        yield from with_progress(parts, len(starts), f"images of {store.name} within {radius:.4g} Å")
