"""Crystals of a test or validation split that training has seen, or nearly: by composition, size and cell.

A crystal has a near-duplicate among others where one of them has the same reduced composition, the same
number of atoms, and a volume within 1 %; it has one of the same cell where the sorted lengths of the cell
vectors also agree within 1 % and the sorted angles within 1°. Positions are not compared, and one crystal in
two different cells of different size is not found: the counts are of what these rules find, no more.
Crystals with mixed sites are compared with none.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crystalformer.data.array_store import ArrayStore

RULE = "same reduced composition, same number of atoms, volume within 1 %"
VOLUME_TOLERANCE = 0.01  # relative
LENGTH_TOLERANCE = 0.01  # relative
ANGLE_TOLERANCE = 1.0  # degrees

Key = tuple[int, bytes]


@dataclass(frozen=True)
class Duplicates:
    """`near`: ids with a near-duplicate, in the order they were asked for; `same_cell`: those of them with
    one of the same cell.
    """

    near: tuple[str, ...]
    same_cell: tuple[str, ...]


def duplicates(store: ArrayStore, train: Sequence[str], others: Sequence[str]) -> Duplicates:
    """Which of `others` have a duplicate in `train`, both ids of crystals in the store; none is its own.

    Raises:
        ValueError: an id is not in the store.
    """
    trained, asked = store.rows(train), store.rows(others)
    keys = _keys(store, np.concatenate([trained, asked]))
    volumes, cells = np.abs(np.linalg.det(store.lattices)), _cells(np.asarray(store.lattices))
    by_key: dict[Key, list[int]] = defaultdict(list)
    for row in trained.tolist():
        if row in keys:
            by_key[keys[row]].append(row)
    near, same = [], []
    for id_, row in zip(others, asked.tolist(), strict=True):
        alike = np.array(by_key.get(keys[row], []) if row in keys else [], dtype=np.int64)
        alike = alike[alike != row]
        alike = alike[np.abs(volumes[alike] / volumes[row] - 1) <= VOLUME_TOLERANCE]
        if len(alike):
            near.append(id_)
            if _same_cell(cells[alike], cells[row]).any():
                same.append(id_)
    return Duplicates(tuple(near), tuple(same))


def _keys(store: ArrayStore, rows: np.ndarray) -> dict[int, Key]:
    """Row -> number of atoms, and its elements with their smallest whole numbers; not of mixed crystals."""
    sizes = store.sizes
    crystal_of_atom = np.repeat(np.arange(len(sizes)), sizes)
    pairs, counts = np.unique(crystal_of_atom * 256 + store.numbers, return_counts=True)  # Z is below 256
    crystals, elements = np.divmod(pairs, 256)
    starts = np.searchsorted(crystals, np.arange(len(sizes) + 1))
    smallest = counts // np.repeat(np.gcd.reduceat(counts, starts[:-1]), np.diff(starts))
    reduced = np.stack([elements, smallest], axis=1)
    mixed = set(crystal_of_atom[store.mixed[:, 0].astype(np.int64)].tolist())
    return {
        row: (int(sizes[row]), reduced[starts[row] : starts[row + 1]].tobytes())
        for row in rows.tolist()
        if row not in mixed
    }


def _cells(lattices: np.ndarray) -> np.ndarray:
    """Sorted lengths in Å and sorted angles in degrees, (crystals, 6)."""
    lengths = np.linalg.norm(lattices, axis=2)
    unit = lattices / lengths[:, :, None]
    cosines = np.einsum("cij,cij->ci", unit, np.roll(unit, -1, axis=1)).clip(-1, 1)
    return np.concatenate([np.sort(lengths, axis=1), np.sort(np.degrees(np.arccos(cosines)), axis=1)], axis=1)


def _same_cell(cells: np.ndarray, cell: np.ndarray) -> np.ndarray:
    lengths = (np.abs(cells[:, :3] / cell[:3] - 1) <= LENGTH_TOLERANCE).all(axis=1)
    return np.asarray(lengths & (np.abs(cells[:, 3:] - cell[3:]) <= ANGLE_TOLERANCE).all(axis=1))
