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

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from baselines.graphs.rule import EdgeRule, Unrepresentable
from crystalformer.data.array_cache import cores, open_arrays, with_progress
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.growing_array import GrowingArray

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

    offsets: np.ndarray
    neighbors: np.ndarray
    images: np.ndarray
    distances: np.ndarray
    failures: dict[int, str]  # row of the store -> reason


class _Part(NamedTuple):
    """The edges of some crystals that follow each other."""

    counts: np.ndarray
    neighbors: np.ndarray
    images: np.ndarray
    distances: np.ndarray
    failures: dict[int, str]


def open_edges(
    store: ArrayStore, cache_folder: Path, rule: EdgeRule, workers: int | None = None
) -> EdgeLists:
    """The edges of all crystals of `store`, see `crystalformer.data.array_cache.open_arrays`.

    `workers` processes share the work of building them (None: one per core).

    Raises:
        ValueError: a crystal whose neighbours cannot be found; the message names it.
    """
    settings = asdict(cast(Any, rule))
    identity = {"rule": rule.name, "version": rule.version, "settings": settings}
    arrays = open_arrays(
        store, cache_folder, rule.name, identity, lambda folder: _build(folder, store, rule, workers)
    )
    failed, reasons = arrays.pop("failed"), arrays.pop("reasons")
    return EdgeLists(**arrays, failures=dict(zip(failed.tolist(), reasons.tolist(), strict=True)))


def _build(folder: Path, store: ArrayStore, rule: EdgeRule, workers: int | None) -> None:
    offsets = np.zeros(len(store.numbers) + 1, dtype="<i8")
    failures: dict[int, str] = {}
    atoms = 0
    with ExitStack() as files:
        arrays = {
            name: files.enter_context(GrowingArray(folder / f"{name}.npy", dtype, row))
            for name, (dtype, row) in ARRAYS.items()
        }
        for part in _parts(store, rule, workers):
            offsets[1 + atoms : 1 + atoms + len(part.counts)] = part.counts
            atoms += len(part.counts)
            failures |= part.failures
            for name, array in arrays.items():
                array.append(getattr(part, name))
    np.save(folder / "offsets.npy", np.cumsum(offsets, dtype="<i8"), allow_pickle=False)
    np.save(folder / "failed.npy", np.array(list(failures), dtype="<i8"), allow_pickle=False)
    np.save(folder / "reasons.npy", np.array(list(failures.values()), dtype=str), allow_pickle=False)


def _parts(store: ArrayStore, rule: EdgeRule, workers: int | None) -> Iterator[_Part]:
    """The edges of `CHUNK` crystals after the other, in the order of the store."""
    tasks = [(first, *_chunk(store, first), rule) for first in range(0, len(store), CHUNK)]
    workers, description = workers or cores(), f"{rule.name} edges of {store.name}"
    # Processes, as the search of pymatgen holds the interpreter's lock; a daemon process may not start any.
    if workers == 1 or len(store) < SERIAL or multiprocessing.current_process().daemon:
        yield from with_progress(map(_part, tasks), len(tasks), description)
        return
    # Started afresh: forking a process that has threads (PyTorch, Ray) can hang.
    with ProcessPoolExecutor(min(workers, len(tasks)), multiprocessing.get_context("spawn")) as pool:
        yield from with_progress(pool.map(_part, tasks), len(tasks), description)


Chunk = tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _chunk(store: ArrayStore, first: int) -> Chunk:
    last = min(first + CHUNK, len(store))
    atoms = slice(store.offsets[first], store.offsets[last])
    offsets = store.offsets[first : last + 1] - store.offsets[first]
    lattices = store.lattices[first:last]
    return store.ids[first:last], lattices, store.frac_coords[atoms], store.numbers[atoms], offsets


def _part(task: tuple[int, *Chunk, EdgeRule]) -> _Part:
    first, ids, lattices, frac_coords, numbers, offsets, rule = task
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
