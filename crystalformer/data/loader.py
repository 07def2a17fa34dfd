"""Which crystals form a batch: seeded order for training, order of size for evaluation."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

MAX_ATOMS = 4096  # per evaluation batch; 128 crystals of the 20 to 30 atoms usual in the data sets


class EpochOrder:
    """Order of the training crystals, drawn anew in each epoch.

    The order is a function of (seed, epoch) alone, so a resumed run sees what an uninterrupted one
    would have seen. With `drop_last` the last, smaller batch of an epoch is left out, so that every step
    averages over equally many crystals; where there are fewer crystals than one batch holds, the one
    smaller batch is kept.

    Raises:
        ValueError: no crystals, or a batch size or seed that is too small.
    """

    def __init__(
        self,
        indices: Sequence[int] | Int[np.ndarray, "..."],
        batch_size: int,
        seed: int,
        drop_last: bool = True,
    ) -> None:
        self.indices = _rows(indices)
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1 crystal, got {batch_size}")
        if seed < 0:
            raise ValueError(f"seed: expected at least 0, got {seed}")
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last

    def __len__(self) -> int:
        """Number of batches (steps) of an epoch."""
        full, rest = divmod(len(self.indices), self.batch_size)
        return full if rest == 0 or (self.drop_last and full) else full + 1

    def epoch(self, number: int) -> list[Int[np.ndarray, " _"]]:
        """The batches of epoch 0, 1, ..., as store rows."""
        shuffled = np.random.default_rng([self.seed, number]).permutation(self.indices)
        size = self.batch_size
        return [shuffled[step * size : (step + 1) * size] for step in range(len(self))]


def evaluation_batches(
    indices: Sequence[int] | Int[np.ndarray, "..."],
    batch_size: int,
    sizes: Int[np.ndarray, " crystals"],
    max_atoms: int = MAX_ATOMS,
) -> list[Int[np.ndarray, " _"]]:
    """All the crystals, in order of size, in batches of bounded memory.

    `sizes[row]` is the number of atoms of the crystal in store row `row` (`store.sizes`). A batch has at
    most `batch_size` crystals and `max_atoms` atoms; a larger crystal is a batch of its own. Crystals of
    equal size keep their order. Returns store rows.

    Raises:
        ValueError: no crystals, or a bound below 1.
    """
    rows = _rows(indices)
    if batch_size < 1 or max_atoms < 1:
        raise ValueError(f"batch_size, max_atoms: expected at least 1, got {batch_size}, {max_atoms}")
    rows = rows[np.argsort(sizes[rows], kind="stable")]
    batches: list[np.ndarray] = []
    start, atoms = 0, 0
    for end, row in enumerate(rows):
        atoms += int(sizes[row])
        if end > start and (end - start == batch_size or atoms > max_atoms):
            batches.append(rows[start:end])
            start, atoms = end, int(sizes[row])
    batches.append(rows[start:])
    return batches


def _rows(indices: Sequence[int] | np.ndarray) -> np.ndarray:
    rows = np.asarray(indices, dtype=np.int64)
    if rows.ndim != 1 or len(rows) == 0:
        raise ValueError(f"indices: expected a list of at least one store row, got shape {rows.shape}")
    return rows
