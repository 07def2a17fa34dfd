"""A data set in chunks of crystals that several processes work on."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, Int, Integer

from crystalformer.data.array_cache import cores, with_progress
from crystalformer.data.array_store import ArrayStore

T = TypeVar("T")


class Chunk(NamedTuple):
    """Crystals that follow each other in a store; offsets[c] is the first atom of crystal c."""

    first: int  # row in the store
    ids: tuple[str, ...]
    lattices: Float[np.ndarray, "crystals 3 3"]
    frac_coords: Float[np.ndarray, "atoms 3"]
    numbers: Integer[np.ndarray, " atoms"]
    offsets: Int[np.ndarray, " crystals+1"]


def map_chunks(
    function: Callable[[Chunk], T],
    store: ArrayStore,
    size: int,
    serial: int,
    workers: int | None,
    description: str,
) -> Iterator[T]:
    """The results for `size` crystals after the other, in the order of the store, with a progress bar.

    Args:
        function: can be pickled.
        serial: stores with fewer crystals are one process' work, which is done before others have started.
        workers: processes; None: one per core.
        description: of the progress bar.
    """
    chunks = [_chunk(store, first, size) for first in range(0, len(store), size)]
    workers = workers or cores()
    # Processes, as Python's lock is held for much of the work; a daemon process may not start any.
    if workers == 1 or len(store) < serial or multiprocessing.current_process().daemon:
        yield from with_progress(map(function, chunks), len(chunks), description)
        return
    # Started afresh: forking a process that has threads (PyTorch, Ray) can hang.
    with ProcessPoolExecutor(min(workers, len(chunks)), multiprocessing.get_context("spawn")) as pool:
        yield from with_progress(pool.map(function, chunks), len(chunks), description)


def _chunk(store: ArrayStore, first: int, size: int) -> Chunk:
    last = min(first + size, len(store))
    atoms = slice(store.offsets[first], store.offsets[last])
    offsets = store.offsets[first : last + 1] - store.offsets[first]
    lattices = store.lattices[first:last]
    return Chunk(
        first, store.ids[first:last], lattices, store.frac_coords[atoms], store.numbers[atoms], offsets
    )
