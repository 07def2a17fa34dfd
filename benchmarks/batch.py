"""The fixed crystals of the measurements, drawn from bundled data sets with a fixed seed."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.catalog import DATASETS
from crystalformer.data.image_batch import ImageBatch, ImageBatches
from crystalformer.data.store_writer import write_store
from crystalformer.sources.bundled import read_bundled

DATASET = "mp-formation-2015"  # of the batch of a step
RADIUS = 6.93  # Å


@cache
def fixed_batch() -> ImageBatch:
    """128 crystals and all their images within 3.5 sigma_max; the targets are random."""
    with TemporaryDirectory() as folder:
        store = fixed_store(Path(folder), DATASET, crystals=128, seed=0)
        batch = ImageBatches(store, random_targets(store), Path(folder), RADIUS)(np.arange(len(store)))
    return batch


def fixed_store(folder: Path, dataset: str, crystals: int, seed: int) -> ArrayStore:
    """So many crystals of a bundled data set as an array store below `folder`."""
    known = read_bundled(DATASETS[dataset])
    rows = np.random.default_rng(seed).permutation(len(known))[:crystals]
    chosen = [known[row] for row in rows]
    return ArrayStore.open(write_store(folder, "benchmark", chosen, {}, {}))


def random_targets(store: ArrayStore) -> np.ndarray:
    """Normally distributed, shape (crystals, 1)."""
    return np.random.default_rng(1).normal(size=(len(store), 1))
