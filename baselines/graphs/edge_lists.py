"""The edges of every crystal of an array store by one rule, built once and then read memory-mapped.

The folder `<cache>/<data set>-<rule>-<key>` holds, for N atoms in M crystals:

| file | shape | unit | meaning |
|---|---|---|---|
| `offsets.npy` | (N + 1,) int64 | - | the edges of atom i are rows offsets[i] to offsets[i + 1] - 1 |
| `neighbors.npy` | (edges,) int32 | - | neighbour j, counted within its crystal |
| `images.npy` | (edges, 3) int16 | cell vectors | image n of the neighbour, at p_j + n L |
| `distances.npy` | (edges,) float32 | Å | length of p_j + n L - p_i |
| `failed.npy` | (failures,) int64 | - | rows of the store of which the rule makes no graph; without edges |
| `reasons.npy` | (failures,) str | - | why |

See `crystalformer.data.array_cache` for the key and the `manifest.json`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import Float, Int

from baselines.graphs.chunks import Chunk, map_chunks
from baselines.graphs.rule import EdgeRule, Unrepresentable
from crystalformer.data.array_cache import open_arrays
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.array_writers import ArrayWriter

ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    "neighbors": ("<i4", ()),
    "images": ("<i2", (3,)),
    "distances": ("<f4", ()),
}
CHUNK = 512  # crystals per task
SERIAL = 4000  # crystals that one process is done with before others have started


@dataclass(frozen=True, eq=False)
class EdgeLists:
    """Opened lists; see the module's table for shapes and units."""

    offsets: Int[np.ndarray, " ends"]
    neighbors: Int[np.ndarray, " edges"]
    images: Int[np.ndarray, "edges 3"]
    distances: Float[np.ndarray, " edges"]
    failures: dict[int, str]  # row of the store -> reason


class _Part(NamedTuple):
    """The edges of some crystals that follow each other."""

    counts: np.ndarray
    neighbors: np.ndarray
    images: np.ndarray
    distances: np.ndarray
    failures: dict[int, str]


def open_edges(
    store: ArrayStore, cache_folder: Path | None, rule: EdgeRule, workers: int | None = None
) -> EdgeLists:
    """The edges of all crystals of `store`, see `crystalformer.data.array_cache.open_arrays`.

    `workers` processes share the work of building them (None: one per core).

    Raises:
        ValueError: a crystal whose neighbours cannot be found; the message names it.
    """
    settings = asdict(cast(Any, rule))
    identity = {"rule": rule.name, "version": rule.version, "settings": settings}
    arrays = open_arrays(
        store, cache_folder, rule.name, identity, lambda writer: _build(writer, store, rule, workers)
    )
    failed, reasons = arrays.pop("failed"), arrays.pop("reasons")
    return EdgeLists(**arrays, failures=dict(zip(failed.tolist(), reasons.tolist(), strict=True)))


def _build(writer: ArrayWriter, store: ArrayStore, rule: EdgeRule, workers: int | None) -> None:
    offsets = np.zeros(len(store.numbers) + 1, dtype="<i8")
    failures: dict[int, str] = {}
    atoms = 0
    with ExitStack() as files:
        arrays = {
            name: files.enter_context(writer.growing(name, dtype, row))
            for name, (dtype, row) in ARRAYS.items()
        }
        for part in _parts(store, rule, workers):
            offsets[1 + atoms : 1 + atoms + len(part.counts)] = part.counts
            atoms += len(part.counts)
            failures |= part.failures
            for name, array in arrays.items():
                array.append(getattr(part, name))
    writer.save("offsets", np.cumsum(offsets, dtype="<i8"))
    writer.save("failed", np.array(list(failures), dtype="<i8"))
    writer.save("reasons", np.array(list(failures.values()), dtype=str))


def _parts(store: ArrayStore, rule: EdgeRule, workers: int | None) -> Iterator[_Part]:
    """The edges of `CHUNK` crystals after the other, in the order of the store."""
    description = f"{rule.name} edges of {store.name}"
    return map_chunks(partial(_part, rule), store, CHUNK, SERIAL, workers, description)


def _part(rule: EdgeRule, chunk: Chunk) -> _Part:
    first, ids, lattices, frac_coords, numbers, offsets = chunk
    counts, pieces, failures = [np.empty(0, np.int64)], [_none()], {}
    for row, id_ in enumerate(ids):
        atoms = slice(offsets[row], offsets[row + 1])
        try:
            edges = rule.edges(lattices[row], frac_coords[atoms], numbers[atoms])
            _check_images(edges.images)
        except Unrepresentable as reason:
            failures[first + row] = str(reason)
            counts.append(np.zeros(atoms.stop - atoms.start, np.int64))
            continue
        except ValueError as error:
            raise ValueError(f"crystal {id_}: {error}") from None
        counts.append(np.bincount(edges.centers, minlength=atoms.stop - atoms.start))
        pieces.append(tuple(getattr(edges, name).astype(ARRAYS[name][0]) for name in ARRAYS))
    neighbors, images, distances = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    return _Part(np.concatenate(counts), neighbors, images, distances, failures)


def _none() -> tuple[np.ndarray, ...]:
    return tuple(np.empty((0, *row), dtype) for dtype, row in ARRAYS.values())


def _check_images(images: np.ndarray) -> None:
    if len(images) and np.abs(images).max() > np.iinfo(np.int16).max:
        raise ValueError("frac_coords: expected atoms less than 32768 cells apart; wrap them into the cell")
