"""Where ASE is used: extended XYZ texts and ASE databases. It is an optional dependency."""

import re
import warnings
from importlib import import_module
from io import StringIO
from typing import Any

from crystalformer.sources.records import DataError

MOST_COLUMNS = 1000  # of numbers per atom, before ASE sets aside memory for them
_COLUMNS = re.compile(r":[A-Za-z]+:\s*([0-9]+)")


def ase_module(name: str) -> Any:
    """A module of ASE.

    Raises:
        DataError: ASE is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise DataError(
            "expected ASE for extended XYZ files and ASE databases, got no such package; "
            "pip install 'crystalformer-suite[ase]'"
        ) from None


def read_extxyz(text: str) -> dict[str, Any]:
    """Numbers, positions and cell (in Å) of the one crystal in an extended XYZ text.

    Raises:
        ValueError: no cell, more than one crystal, too many columns, or anything that ASE cannot read.
    """
    columns = max((int(count) for count in _COLUMNS.findall(text)), default=0)
    if columns > MOST_COLUMNS:
        raise ValueError(f"expected at most {MOST_COLUMNS} numbers of a kind per atom, got {columns}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images = list(ase_module("ase.io.extxyz").read_xyz(StringIO(text), slice(None)))
    if len(images) != 1:
        raise ValueError(f"expected one structure, got {len(images)}")
    atoms = images[0]
    if not atoms.cell.array.any():
        raise ValueError("expected cell vectors (Lattice=...), got none")
    return {"numbers": atoms.numbers, "positions": atoms.positions, "cell": atoms.cell.array}
