"""An `.npy` file that is written piece by piece."""

from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Shaped


class GrowingArray:
    """Rows appended to a `.npy` file, whose length is known when it is closed; use it in a `with` block.

    `row` is the shape of one row, () for a one-dimensional array.
    """

    def __init__(self, path: Path, dtype: str, row: tuple[int, ...] = ()) -> None:
        self.path, self.dtype, self.row, self.length = path, np.dtype(dtype), row, 0

    def __enter__(self) -> Self:
        self.file = self.path.open("wb")
        self._write_header()
        return self

    def append(self, values: Shaped[np.ndarray, " rows *row"]) -> None:
        """Add rows."""
        self.file.write(values.astype(self.dtype, copy=False).tobytes())
        self.length += len(values)

    def __exit__(self, *_: object) -> None:
        self.file.seek(0)
        self._write_header()  # NumPy pads it, so that it can be replaced when an array has grown
        self.file.close()

    def _write_header(self) -> None:
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.length, *self.row)}
        np.lib.format.write_array_header_1_0(self.file, header)
