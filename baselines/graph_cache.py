"""The k-nearest graph of every crystal of an array store, built once and then read memory-mapped.

The folder `<cache>/<data set>-knearest-<key>` holds, for N atoms with k edges each:

| file | shape | unit | meaning |
|---|---|---|---|
| `neighbors.npy` | (N, k) int32 | - | neighbour j of atom i, counted within its crystal |
| `images.npy` | (N, k, 3) int16 | cell vectors | image n of the neighbour, at p_j + n L |
| `distances.npy` | (N, k) float32 | Å | length of p_j + n L - p_i; radius + 1 marks padding |

See `crystalformer.data.array_cache` for the key and the `manifest.json`.
"""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from crystalformer.data.array_cache import cores, open_arrays, with_progress
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.neighbors import NeighborList, radius_neighbors

RULE = "k nearest, version 1"  # to be raised when the same settings give another graph
ARRAYS = {"neighbors": "<i4", "images": "<i2", "distances": "<f4"}
CHUNK = 512  # crystals per task
SERIAL = 4000  # crystals that one process is done with before others have started
PADDING = 1.0  # Å beyond the radius
MARGIN = 0.1  # Å; no chain of ties (gaps below 1e-4 Å) reaches that far


@dataclass(frozen=True)
class KNearest:
    """Settings of a graph: `neighbours` per atom among those within `radius` (Å)."""

    neighbours: int
    radius: float

    def __post_init__(self) -> None:
        if not (isinstance(self.neighbours, int) and self.neighbours >= 1):
            raise ValueError(f"neighbours: expected a whole number of at least 1, got {self.neighbours!r}")
        if not 0 < self.radius < np.inf:
            raise ValueError(f"radius: expected a length above 0 Å, got {self.radius!r}")


@dataclass(frozen=True, eq=False)
class KNearestGraph:
    """An opened graph; see the module's table for shapes and units."""

    neighbors: np.ndarray
    images: np.ndarray
    distances: np.ndarray


def k_nearest(
    lattice: np.ndarray, frac_coords: np.ndarray, numbers: np.ndarray, settings: KNearest
) -> KNearestGraph:
    """The graph of one crystal by the rule of CGCNN: the first k neighbours of each atom within the radius.

    An atom with fewer is padded with edges to atom 0 of the crystal at distance radius + 1 Å. At equal
    distance (to 1e-4 Å) lower atomic numbers come first, then the order of the atoms, then the image.
    """
    atoms, k = len(numbers), settings.neighbours
    by_element = np.argsort(numbers, kind="stable")
    edges = _pairs(lattice, frac_coords[by_element], settings)
    counts = np.bincount(edges.centers, minlength=atoms)
    rank = np.arange(len(edges.centers)) - np.repeat(np.cumsum(counts) - counts, counts)
    near = rank < k
    if near.any() and np.abs(edges.images[near]).max() > np.iinfo(np.int16).max:
        raise ValueError("frac_coords: expected atoms less than 32768 cells apart; wrap them into the cell")
    row, rank = by_element[edges.centers[near]], rank[near]
    neighbors = np.zeros((atoms, k), dtype=ARRAYS["neighbors"])
    images = np.zeros((atoms, k, 3), dtype=ARRAYS["images"])
    distances = np.full((atoms, k), settings.radius + PADDING, dtype=ARRAYS["distances"])
    neighbors[row, rank] = by_element[edges.neighbors[near]]
    images[row, rank] = edges.images[near]
    distances[row, rank] = edges.distances[near]
    return KNearestGraph(neighbors, images, distances)


def _pairs(lattice: np.ndarray, frac_coords: np.ndarray, settings: KNearest) -> NeighborList:
    """Neighbours within the smallest tried radius that gives every atom its k nearest, ties included.

    At 8 Å an atom has some 150 neighbours; the first radius tried gives 2 k on average.
    """
    volume = abs(np.linalg.det(lattice)) / len(frac_coords)
    radius = MARGIN + (3 * volume * 2 * settings.neighbours / (4 * np.pi)) ** (1 / 3)
    while radius < settings.radius:
        edges = radius_neighbors(lattice, frac_coords, radius)
        sure = edges.centers[edges.distances < radius - MARGIN]
        if np.bincount(sure, minlength=len(frac_coords)).min() >= settings.neighbours:
            return edges
        radius *= 1.2
    return radius_neighbors(lattice, frac_coords, settings.radius)


def open_graph(
    store: ArrayStore, cache_folder: Path, settings: KNearest, workers: int | None = None
) -> KNearestGraph:
    """The graph of all crystals of `store`, see `crystalformer.data.array_cache.open_arrays`.

    `workers` processes share the work of building it (None: one per core).

    Raises:
        ValueError: a crystal whose neighbours cannot be found; the message names it.
    """
    identity = {"rule": RULE, "settings": asdict(settings)}
    arrays = open_arrays(
        store, cache_folder, "knearest", identity, lambda folder: _build(folder, store, settings, workers)
    )
    return KNearestGraph(**arrays)


def _build(folder: Path, store: ArrayStore, settings: KNearest, workers: int | None) -> None:
    k, atoms = settings.neighbours, len(store.numbers)
    shapes = {"neighbors": (atoms, k), "images": (atoms, k, 3), "distances": (atoms, k)}
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shapes[name])
        for name, dtype in ARRAYS.items()
    }
    first = 0
    for graph in _graphs(store, settings, workers):
        rows = slice(first, first + len(graph.neighbors))
        for name, array in arrays.items():
            array[rows] = getattr(graph, name)
        first = rows.stop
    for array in arrays.values():
        array.flush()


def _graphs(store: ArrayStore, settings: KNearest, workers: int | None) -> Iterator[KNearestGraph]:
    """The graphs of `CHUNK` crystals after the other, in the order of the store."""
    tasks = [(*_chunk(store, first), settings) for first in range(0, len(store), CHUNK)]
    workers, description = workers or cores(), f"neighbours of {store.name}"
    # Processes, as the search of pymatgen holds the interpreter's lock; a daemon process may not start any.
    if workers == 1 or len(store) < SERIAL or multiprocessing.current_process().daemon:
        yield from with_progress(map(_graph_of_chunk, tasks), len(tasks), description)
        return
    # Started afresh: forking a process that has threads (PyTorch, Ray) can hang.
    with ProcessPoolExecutor(min(workers, len(tasks)), multiprocessing.get_context("spawn")) as pool:
        yield from with_progress(pool.map(_graph_of_chunk, tasks), len(tasks), description)


Chunk = tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _chunk(store: ArrayStore, first: int) -> Chunk:
    last = min(first + CHUNK, len(store))
    atoms = slice(store.offsets[first], store.offsets[last])
    offsets = store.offsets[first : last + 1] - store.offsets[first]
    lattices = store.lattices[first:last]
    return store.ids[first:last], lattices, store.frac_coords[atoms], store.numbers[atoms], offsets


def _graph_of_chunk(task: tuple[*Chunk, KNearest]) -> KNearestGraph:
    ids, lattices, frac_coords, numbers, offsets, settings = task
    graphs = []
    for row, id_ in enumerate(ids):
        atoms = slice(offsets[row], offsets[row + 1])
        try:
            graphs.append(k_nearest(lattices[row], frac_coords[atoms], numbers[atoms], settings))
        except ValueError as error:
            raise ValueError(f"crystal {id_}: {error}") from None
    return KNearestGraph(*(np.concatenate([getattr(graph, name) for graph in graphs]) for name in ARRAYS))
