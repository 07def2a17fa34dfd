"""Where derived arrays go: `.npy` files of a folder, or the memory of this process."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Shaped

from crystalformer.data.growing_array import GrowingArray


class Appendable(Protocol):
    """Takes rows, piece by piece."""

    def append(self, values: Shaped[np.ndarray, " rows *row"]) -> None:
        """Add rows."""
        ...


class ArrayWriter(Protocol):
    """Takes arrays by their names."""

    def save(self, name: str, array: Shaped[np.ndarray, "..."]) -> None:
        """Keep a whole array."""
        ...

    def growing(self, name: str, dtype: str, row: tuple[int, ...] = ()) -> AbstractContextManager[Appendable]:
        """An array of rows of shape `row` that is whole when the context ends."""
        ...


class FolderWriter:
    """Writes `<name>.npy` files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, name: str, array: Shaped[np.ndarray, "..."]) -> None:
        """See `ArrayWriter`."""
        np.save(self.folder / f"{name}.npy", array, allow_pickle=False)

    def growing(self, name: str, dtype: str, row: tuple[int, ...] = ()) -> AbstractContextManager[Appendable]:
        """See `ArrayWriter`."""
        return GrowingArray(self.folder / f"{name}.npy", dtype, row)


class MemoryWriter:
    """Collects the arrays in `arrays`."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def save(self, name: str, array: Shaped[np.ndarray, "..."]) -> None:
        """See `ArrayWriter`."""
        self.arrays[name] = array

    @contextmanager
    def growing(self, name: str, dtype: str, row: tuple[int, ...] = ()) -> Iterator[Appendable]:
        """See `ArrayWriter`."""
        pieces = _Pieces(np.dtype(dtype), row)
        yield pieces
        self.arrays[name] = np.concatenate(pieces.pieces)


class _Pieces:
    def __init__(self, dtype: np.dtype, row: tuple[int, ...]) -> None:
        self.dtype = dtype
        self.pieces = [np.empty((0, *row), dtype)]

    def append(self, values: np.ndarray) -> None:
        self.pieces.append(values.astype(self.dtype, copy=False))
