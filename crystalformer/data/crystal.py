"""`Crystal`: one periodic structure in memory, as plain NumPy arrays.

| field | shape | unit | meaning |
|---|---|---|---|
| `id` | - | - | unique name inside its data set |
| `lattice` | (3, 3) float64 | Å | the rows are the cell vectors l_1, l_2, l_3 |
| `frac_coords` | (atoms, 3) float64 | - | fractional coordinates f; the position is f @ lattice |
| `numbers` | (atoms,) int64 | - | atomic number Z, 1 to 118 |
| `mixed` | (rows, 3) float64 | - | rows (site, Z, fraction) of disordered sites, see `mixed_sites` |
| `targets` | name -> float | of the data set | values to predict; a missing one is left out |
| `split` | - | - | label of the data set's own split, if it has one |
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crystalformer.data.mixed_sites import ELEMENTS, most_frequent, sorted_rows

# Volume over the product of the edge lengths; 1 for a right-angled cell. Below this the cell vectors
# count as lying in a plane, and reciprocal vectors would be noise.
MIN_RELATIVE_VOLUME = 1e-6


@dataclass(frozen=True, eq=False)
class Crystal:
    """One crystal; see the module's table for shapes and units. Its arrays are read-only copies.

    Raises:
        ValueError: a shape or value is impossible; the message names the crystal, what was expected
            and what came.
    """

    id: str
    lattice: np.ndarray
    frac_coords: np.ndarray
    numbers: np.ndarray
    targets: dict[str, float] = field(default_factory=dict)
    split: str | None = None
    mixed: np.ndarray | Sequence[tuple[int, int, float]] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id.strip():
            raise ValueError(f"crystal id: expected a non-empty text, got {self.id!r}")
        lattice = self._floats("lattice", self.lattice)
        frac_coords = self._floats("frac_coords", self.frac_coords)
        numbers = self._atomic_numbers()
        mixed = self._mixed(numbers)
        self._check(lattice.shape == (3, 3), "lattice", "shape (3, 3)", lattice.shape)
        self._check(
            frac_coords.shape == (len(numbers), 3),
            "frac_coords",
            f"shape ({len(numbers)}, 3) for {len(numbers)} atoms",
            frac_coords.shape,
        )
        with np.errstate(over="ignore", invalid="ignore"):
            volume = abs(float(np.linalg.det(lattice)))
            edges = float(np.prod(np.linalg.norm(lattice, axis=1)))
        self._check(
            math.isfinite(edges) and volume > MIN_RELATIVE_VOLUME * edges,
            "lattice",
            "three cell vectors that span a volume",
            f"{volume:.3g} Å^3",
        )
        for name, value in self.targets.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            self._check(number and math.isfinite(value), f"target {name!r}", "a finite number", repr(value))
        arrays = {"lattice": lattice, "frac_coords": frac_coords, "numbers": numbers, "mixed": mixed}
        for name, array in arrays.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "targets", {name: float(value) for name, value in self.targets.items()})

    def __len__(self) -> int:
        """Number of atoms in the unit cell."""
        return len(self.numbers)

    def _floats(self, name: str, values: Any) -> np.ndarray:
        try:
            array = np.array(values, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"crystal {self.id!r}: {name}: expected numbers, got {values!r:.80}") from None
        self._check(bool(np.isfinite(array).all()), name, "finite values", "NaN or infinity")
        return array

    def _atomic_numbers(self) -> np.ndarray:
        array = self._floats("numbers", self.numbers)
        self._check(array.ndim == 1 and len(array) > 0, "numbers", "at least one atom", array.tolist())
        with np.errstate(invalid="ignore"):  # of numbers beyond 64 bits
            numbers = array.astype(np.int64)
        wrong = (numbers != array) | (numbers < 1) | (numbers > ELEMENTS)
        self._check(not wrong.any(), "numbers", f"atomic numbers 1 to {ELEMENTS}", array[wrong][:3].tolist())
        return numbers

    def _mixed(self, numbers: np.ndarray) -> np.ndarray:
        values = self._floats("mixed", self.mixed)
        try:
            rows = sorted_rows(values, len(numbers))
        except ValueError as error:
            raise ValueError(f"crystal {self.id!r}: mixed: {error}") from None
        for site, z in most_frequent(rows).items():
            self._check(numbers[site] == z, f"numbers[{site}]", f"Z = {z}, the most frequent", numbers[site])
        return rows

    def _check(self, holds: bool, name: str, expected: str, got: object) -> None:
        if not holds:
            raise ValueError(f"crystal {self.id!r}: {name}: expected {expected}, got {got}")
