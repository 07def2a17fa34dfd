"""Which crystals of a store hold an element that a model does not know."""

import numpy as np

from crystalformer.data.array_store import ArrayStore


def unknown_elements(store: ArrayStore, last_element: int) -> dict[int, str]:
    """Store row -> reason, of the crystals with an atomic number Z above `last_element`."""
    atoms = np.flatnonzero(store.numbers > last_element)
    rows = np.searchsorted(store.offsets, atoms, side="right") - 1
    return {
        int(row): f"expected elements up to Z = {last_element}, got Z = {store.numbers[atom]}"
        for row, atom in zip(rows, atoms, strict=True)
    }
