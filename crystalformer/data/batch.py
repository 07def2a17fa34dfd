"""`CrystalBatch`: the crystals of one step, concatenated atom by atom.

| field | shape | unit | meaning |
|---|---|---|---|
| `numbers` | (atoms,) int64 | - | atomic number Z |
| `positions` | (atoms, 3) | Å | Cartesian p_i, as stored unless wrapped into the cell |
| `lattices` | (crystals, 3, 3) | Å | the rows are the cell vectors l_1, l_2, l_3 |
| `sizes` | (crystals,) int64 | - | atoms per unit cell |
| `targets` | (crystals, targets) | scaled | (y - offset) / scale with training statistics |
| `indices` | (crystals,) int64 | - | row of each crystal in its array store |
| `occupancy` | (atoms, 118) or None | - | share of element Z in column Z - 1; None: all of it is `numbers` |

A site that is mixed (see `mixed_sites`) has its most frequent element in `numbers`.
"""

from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.mixed_sites import occupancy


@dataclass(frozen=True)
class CrystalBatch:
    """Crystals of one step; see the module's table for shapes and units.

    `checked` says that whoever makes such batches has looked at every crystal beforehand, so that a model
    need not look again.
    """

    checked: ClassVar[bool] = False

    numbers: Int[Tensor, " atoms"]
    positions: Float[Tensor, "atoms 3"]
    lattices: Float[Tensor, "crystals 3 3"]
    sizes: Int[Tensor, " crystals"]
    targets: Float[Tensor, "crystals targets"]
    indices: Int[Tensor, " crystals"]
    occupancy: Float[Tensor, "atoms 118"] | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def real(self) -> int:
        """How many crystals there are; behind them a batch of fixed shape has padding."""
        return len(self)

    @property
    def crystal_of_atom(self) -> Int[Tensor, " atoms"]:
        """Crystal index of each atom."""
        return torch.repeat_interleave(torch.arange(len(self.sizes), device=self.sizes.device), self.sizes)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Copy to a device; `dtype` changes the floating-point fields only."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        moved = {
            name: value.to(device, dtype if value.is_floating_point() else None)
            for name, value in values.items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)


_MIXED = "expected one element on every site, as this model knows no mixed sites, got a disordered crystal"


class CrystalBatches:
    """Cuts batches out of an array store by slicing its flat arrays.

    `scaled_targets` has shape (crystals of the store, targets); NaN marks a missing value. The result of a
    call owns its memory, so the mapped arrays are never written to. `failures` says of which rows no batch
    can be made, and why: those with mixed sites unless `mixed_sites` says that the model knows them, and
    what a subclass adds. With `wrapped` the positions are those of the images inside the cell, for models
    that count images from there.
    """

    def __init__(
        self,
        store: ArrayStore,
        scaled_targets: Float[np.ndarray, "..."],
        *,
        mixed_sites: bool = False,
        wrapped: bool = False,
    ) -> None:
        if scaled_targets.ndim != 2 or len(scaled_targets) != len(store):
            raise ValueError(f"scaled_targets: expected ({len(store)}, targets), got {scaled_targets.shape}")
        self.store = store
        self.scaled_targets = scaled_targets
        self._mixed_rows = np.searchsorted(store.mixed[:, 0], store.offsets)  # of each crystal, from and to
        self.wrapped = wrapped
        self.failures: dict[int, str] = {}
        if not mixed_sites:
            self.failures = dict.fromkeys(np.flatnonzero(np.diff(self._mixed_rows)).tolist(), _MIXED)

    def __call__(self, indices: Int[np.ndarray, " crystals"]) -> CrystalBatch:
        """The crystals with these store rows, in this order.

        Raises:
            ValueError: a crystal is one of the `failures`.
        """
        store = self.store
        for row in indices if self.failures else ():
            if int(row) in self.failures:
                raise ValueError(f"crystal {store.ids[row]}: {self.failures[int(row)]}")
        starts, stops = store.offsets[indices], store.offsets[indices + 1]
        sizes = stops - starts
        atoms = flat_rows(starts, sizes)
        lattices = np.asarray(store.lattices[indices])
        frac_coords = store.frac_coords[atoms] % 1 if self.wrapped else store.frac_coords[atoms]
        positions = np.einsum("ni,nij->nj", frac_coords, np.repeat(lattices, sizes, axis=0))
        numbers = store.numbers[atoms].astype(np.int64)
        return CrystalBatch(
            numbers=torch.from_numpy(numbers),
            positions=torch.from_numpy(positions.astype(np.float32)),
            lattices=torch.from_numpy(lattices.astype(np.float32)),
            sizes=torch.from_numpy(sizes.astype(np.int64)),
            targets=torch.from_numpy(self.scaled_targets[indices].astype(np.float32)),
            indices=torch.from_numpy(np.asarray(indices, dtype=np.int64)),
            occupancy=self._occupancy(indices, numbers),
        )

    def _occupancy(self, indices: np.ndarray, numbers: np.ndarray) -> Tensor | None:
        """`occupancy` of a batch, from the numbers of its atoms; None where no crystal has mixed sites."""
        store = self.store
        starts, stops = self._mixed_rows[indices], self._mixed_rows[indices + 1]
        if (starts == stops).all():
            return None
        sizes = store.sizes[indices]
        shifts = np.cumsum(sizes) - sizes - store.offsets[indices]  # from the store's atoms to the batch's
        rows = np.array(store.mixed[flat_rows(starts, stops - starts)])
        rows[:, 0] += np.repeat(shifts, stops - starts)
        return torch.from_numpy(occupancy(numbers, rows))


def flat_rows(
    starts: Int[np.ndarray, " ranges"], sizes: Int[np.ndarray, " ranges"]
) -> Int[np.ndarray, " rows"]:
    """Positions of the rows [start, start + size) one after the other."""
    ends = np.cumsum(sizes)
    shift = np.repeat(starts - (ends - sizes), sizes)
    return np.arange(ends[-1] if len(ends) else 0) + shift
