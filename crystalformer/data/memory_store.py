"""`MemoryStore`: crystals as the flat arrays of an `ArrayStore`, without a folder.

Predicting a few crystals goes the way of training, through the same batches, and leaves no files.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crystalformer.data.array_store import ARRAYS, MIXED, ArrayStore
from crystalformer.data.crystal import Crystal


class MemoryStore(ArrayStore):
    """At least one crystal, in the order given, without targets.

    Ids may come twice: rows are all that counts here.
    """

    def __init__(self, crystals: Sequence[Crystal]) -> None:
        offsets = np.cumsum([0] + [len(crystal) for crystal in crystals])
        starts = zip(offsets, crystals, strict=False)
        values = {
            "lattices": np.stack([crystal.lattice for crystal in crystals]),
            "frac_coords": np.concatenate([crystal.frac_coords for crystal in crystals]),
            "numbers": np.concatenate([crystal.numbers for crystal in crystals]),
            "offsets": offsets,
            MIXED: np.concatenate([crystal.mixed + np.array([start, 0, 0]) for start, crystal in starts]),
        }
        arrays = {name: np.ascontiguousarray(value, dtype=ARRAYS[name]) for name, value in values.items()}
        manifest = {"name": "crystals in memory", "digest": "", "targets": (), "units": {}}
        super().__init__(Path("crystals in memory"), manifest, arrays)
        self._labels = {"ids": [crystal.id for crystal in crystals], "split": [None] * len(crystals)}
