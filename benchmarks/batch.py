"""The fixed batch of the measurements: 128 real crystals and all their images within 3.5 sigma_max."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from crystalformer.data.array_store import ArrayStore, write_store
from crystalformer.data.catalog import DATASETS
from crystalformer.data.image_batch import ImageBatch, ImageBatches
from crystalformer.sources.bundled import read_bundled

DATASET = "mp-formation-2015"
CRYSTALS = 128
RADIUS = 6.93  # Å


@cache
def fixed_batch() -> ImageBatch:
    """Crystals drawn from a bundled data set with a fixed seed; the targets are random."""
    crystals = read_bundled(DATASETS[DATASET])
    rows = np.random.default_rng(0).permutation(len(crystals))[:CRYSTALS]
    chosen = [crystals[row] for row in rows]
    targets = np.random.default_rng(1).normal(size=(CRYSTALS, 1))
    with TemporaryDirectory() as folder:
        store = ArrayStore.open(write_store(folder, "benchmark", chosen, {}, {}))
        batch = ImageBatches(store, targets, Path(folder), RADIUS)(np.arange(CRYSTALS))
    return batch
