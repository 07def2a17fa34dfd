"""The potential between every two atoms of a crystal and their images: the complete graph of PotNet.

| file | shape | meaning |
|---|---|---|
| `offsets.npy` | (M + 1,) int64 | the pairs of crystal c are entries offsets[c] to offsets[c + 1] - 1 |
| `potentials.npy` | (pairs,) float32 | s_ij for i, j = 0, 1, ...: (atoms, atoms) row by row |

for M crystals; see `crystalformer.data.array_cache` for their folder.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from baselines.graphs.chunks import Chunk, map_chunks
from baselines.graphs.lattice_sums import lattice_sums
from crystalformer.data.array_cache import open_arrays
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.array_writers import ArrayWriter

KIND = "potentials"
VERSION = 1  # to be raised when the same settings give other potentials
CHUNK = 64  # crystals per task
SERIAL = 1000  # crystals that one process is done with before others have started


@dataclass(frozen=True)
class PairPotentials:
    """s_ij = coulomb Z(1/2) + london Z(3) + repulsion E(a) of `lattice_sums`; the defaults are PotNet's.

    `decay` is α. With `pauli` "paper", a = α in 1/Å. With "released", as the published code computes it,
    a = α/√γ with γ = V^(1/3), lengths in Å: the range of the repulsion grows with the cell.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    coulomb: float = -0.801
    london: float = -0.074
    repulsion: float = 0.145
    decay: float = 3.0
    pauli: Literal["released", "paper"] = "released"

    def __post_init__(self) -> None:
        if self.pauli not in ("released", "paper"):
            raise ValueError(f"pauli: expected 'released' or 'paper', got {self.pauli!r}")
        if not 0 < self.decay < np.inf:
            raise ValueError(f"decay: expected above 0, got {self.decay!r}")

    def potentials(
        self, lattice: Float[np.ndarray, "3 3"], frac_coords: Float[np.ndarray, "atoms 3"]
    ) -> Float[np.ndarray, "atoms atoms"]:
        """s of one crystal, symmetric; `lattice` has the cell vectors as rows, in Å.

        Raises:
            ValueError: the crystal itself is wrong (not finite, no volume).
        """
        gamma = abs(np.linalg.det(lattice)) ** (1 / 3)
        decay = self.decay / np.sqrt(gamma) if self.pauli == "released" and gamma > 0 else self.decay
        sums = lattice_sums(lattice, frac_coords, decay)
        return self.coulomb * sums.coulomb + self.london * sums.london + self.repulsion * sums.pauli


class PotentialLists(NamedTuple):
    """Opened lists; see the module's table."""

    offsets: Int[np.ndarray, " crystals+1"]
    potentials: Float[np.ndarray, " pairs"]


def open_potentials(
    store: ArrayStore, cache_folder: Path | None, rule: PairPotentials, workers: int | None = None
) -> PotentialLists:
    """The potentials of all crystals of `store`, see `crystalformer.data.array_cache.open_arrays`.

    `workers` processes share the work of computing them (None: one per core).

    Raises:
        ValueError: a crystal that has none; the message names it.
    """
    identity = {"rule": KIND, "version": VERSION, "settings": asdict(rule)}
    arrays = open_arrays(
        store, cache_folder, KIND, identity, lambda writer: _build(writer, store, rule, workers)
    )
    return PotentialLists(**arrays)


def _build(writer: ArrayWriter, store: ArrayStore, rule: PairPotentials, workers: int | None) -> None:
    offsets = np.concatenate([[0], np.cumsum(store.sizes.astype("<i8") ** 2)])
    writer.save("offsets", offsets)
    with writer.growing("potentials", "<f4") as potentials:
        for part in _parts(store, rule, workers):
            potentials.append(part)


def _parts(store: ArrayStore, rule: PairPotentials, workers: int | None) -> Iterator[np.ndarray]:
    description = f"potentials of {store.name}"
    return map_chunks(partial(_part, rule), store, CHUNK, SERIAL, workers, description)


def _part(rule: PairPotentials, chunk: Chunk) -> np.ndarray:
    pieces = []
    for row, id_ in enumerate(chunk.ids):
        atoms = slice(chunk.offsets[row], chunk.offsets[row + 1])
        try:
            pieces.append(rule.potentials(chunk.lattices[row], chunk.frac_coords[atoms]).reshape(-1))
        except ValueError as error:
            raise ValueError(f"crystal {id_}: {error}") from None
    return np.concatenate(pieces).astype(np.float32)
