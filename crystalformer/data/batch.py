"""`CrystalBatch`: the crystals of one step, concatenated atom by atom.

| field | shape | unit | meaning |
|---|---|---|---|
| `numbers` | (atoms,) int64 | - | atomic number Z |
| `positions` | (atoms, 3) | Å | Cartesian p_i, as stored unless wrapped into the cell |
| `lattices` | (crystals, 3, 3) | Å | the rows are the cell vectors l_1, l_2, l_3 |
| `sizes` | (crystals,) int64 | - | atoms per unit cell |
| `targets` | (crystals, targets) | scaled | (y - offset) / scale with training statistics |
| `indices` | (crystals,) int64 | - | row of each crystal in its array store |
"""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from crystalformer.data.array_store import ArrayStore


@dataclass(frozen=True)
class CrystalBatch:
    """Crystals of one step; see the module's table for shapes and units."""

    numbers: Tensor
    positions: Tensor
    lattices: Tensor
    sizes: Tensor
    targets: Tensor
    indices: Tensor

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def crystal_of_atom(self) -> Tensor:
        """Crystal index of each atom, shape (atoms,)."""
        return torch.repeat_interleave(torch.arange(len(self.sizes), device=self.sizes.device), self.sizes)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Copy to a device; `dtype` changes the floating-point fields only."""
        moved = {}
        for field in fields(self):
            value = getattr(self, field.name)
            moved[field.name] = value.to(device, dtype if value.is_floating_point() else None)
        return replace(self, **moved)


class CrystalBatches:
    """Cuts batches out of an array store by slicing its flat arrays.

    `scaled_targets` has shape (crystals of the store, targets); NaN marks a missing value. The
    result of a call owns its memory, so the mapped arrays are never written to. `failures` says of which
    rows no batch can be made, and why. With `wrapped` the positions are those of the images inside the cell,
    for models that count images from there.
    """

    def __init__(self, store: ArrayStore, scaled_targets: np.ndarray, *, wrapped: bool = False) -> None:
        if scaled_targets.ndim != 2 or len(scaled_targets) != len(store):
            raise ValueError(f"scaled_targets: expected ({len(store)}, targets), got {scaled_targets.shape}")
        self.store = store
        self.scaled_targets = scaled_targets
        self.wrapped = wrapped
        self.failures: dict[int, str] = {}

    def __call__(self, indices: np.ndarray) -> CrystalBatch:
        """The crystals with these store rows, in this order."""
        store = self.store
        starts, stops = store.offsets[indices], store.offsets[indices + 1]
        sizes = stops - starts
        atoms = flat_rows(starts, sizes)
        lattices = np.asarray(store.lattices[indices])
        frac_coords = store.frac_coords[atoms] % 1 if self.wrapped else store.frac_coords[atoms]
        positions = np.einsum("ni,nij->nj", frac_coords, np.repeat(lattices, sizes, axis=0))
        return CrystalBatch(
            numbers=torch.from_numpy(store.numbers[atoms].astype(np.int64)),
            positions=torch.from_numpy(positions.astype(np.float32)),
            lattices=torch.from_numpy(lattices.astype(np.float32)),
            sizes=torch.from_numpy(sizes.astype(np.int64)),
            targets=torch.from_numpy(self.scaled_targets[indices].astype(np.float32)),
            indices=torch.from_numpy(np.asarray(indices, dtype=np.int64)),
        )


def flat_rows(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Positions of the rows [start, start + size) one after the other, shape (sum of sizes,)."""
    ends = np.cumsum(sizes)
    shift = np.repeat(starts - (ends - sizes), sizes)
    return np.arange(ends[-1] if len(ends) else 0) + shift
