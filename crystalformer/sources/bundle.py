"""Make the bundled data sets: `python -m crystalformer.sources.bundle FOLDER_OF_JSONL [--out FOLDER]`.

Reads the JSON lines that the catalogue names and writes one compressed `.npz` per data set:

| array | shape | meaning |
|---|---|---|
| `ids` | (C,) bytes | ids of the crystals |
| `sizes` | (C,) uint16 | atoms per crystal |
| `numbers` | (N,) uint8 | atomic numbers, crystal after crystal |
| `lattices` | (C, 3, 3) int32 | 10^-6 Å, rows are the cell vectors; float64 in Å where that is not exact |
| `frac_coords` | (N, 3) int32 | 10^-6; float64 where that is not exact |
| `target_names` | (T,) bytes | targets |
| `targets` | (T, C) float64 | values, in the catalogue's units |

The same input gives the same bytes (with the same version of zlib). The printed SHA-256 belongs into
the catalogue.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crystalformer.data.catalog import DATASETS, Dataset
from crystalformer.data.crystal import Crystal
from crystalformer.data.manifest import file_sha256
from crystalformer.sources.bundled import BUNDLED, STEPS_PER_UNIT
from crystalformer.sources.records import DataError, Rejection
from crystalformer.sources.structures import to_crystal
from crystalformer.sources.tables import open_table


def bundle(dataset: Dataset, crystals: Sequence[Crystal], folder: Path) -> Path:
    """Write the data set's `.npz`; returns its path.

    Raises:
        DataError: the number of crystals is not the catalogue's, or a crystal lacks a target or has mixed
            sites, for which the format has no place.
    """
    if len(crystals) != dataset.crystals:
        raise DataError(f"{dataset.name}: expected {dataset.crystals} crystals, got {len(crystals)}")
    lacking = [c.id for c in crystals if not set(dataset.targets) <= set(c.targets)]
    if lacking:
        raise DataError(
            f"{dataset.name}: expected all of {', '.join(dataset.targets)}, got less for {lacking[0]!r}"
        )
    disordered = [crystal.id for crystal in crystals if len(crystal.mixed)]
    if disordered:
        raise DataError(f"{dataset.name}: expected one element on every site, got more in {disordered[0]}")
    assert dataset.bundle is not None
    path = folder / dataset.bundle.file
    np.savez_compressed(
        path,
        ids=np.array([crystal.id.encode() for crystal in crystals]),
        sizes=np.array([len(crystal) for crystal in crystals], dtype="<u2"),
        numbers=np.concatenate([crystal.numbers for crystal in crystals]).astype("u1"),
        lattices=_compact(np.stack([crystal.lattice for crystal in crystals])),
        frac_coords=_compact(np.concatenate([crystal.frac_coords for crystal in crystals])),
        target_names=np.array([name.encode() for name in dataset.targets]),
        targets=np.array([[c.targets[name] for c in crystals] for name in dataset.targets], dtype="<f8"),
    )
    return path


def _compact(values: np.ndarray) -> np.ndarray:
    """The values as whole millionths, if that loses nothing, not even the last bit; else as they are."""
    steps = np.rint(values * STEPS_PER_UNIT)
    if np.abs(steps).max() <= np.iinfo(np.int32).max and np.array_equal(steps / STEPS_PER_UNIT, values):
        return steps.astype("<i4")
    return values.astype("<f8")


def _crystals(path: Path) -> list[Crystal]:
    crystals = []
    for row in open_table(path).read().rows:
        if isinstance(row, Rejection):
            raise DataError(f"{path}, {row.where}: {row.reason}")
        crystals.append(to_crystal(row))
    return crystals


def main(arguments: Sequence[str] | None = None) -> int:
    """Make all bundled data sets; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m crystalformer.sources.bundle", description="Make the bundled data sets."
    )
    parser.add_argument(
        "folder", type=Path, help="folder with the files of JSON lines named in the catalogue"
    )
    parser.add_argument("--out", type=Path, default=BUNDLED, help="where to write (default: in the package)")
    options = parser.parse_args(arguments)
    try:
        for dataset in DATASETS.values():
            if dataset.bundle is None:
                continue
            path = bundle(dataset, _crystals(options.folder / dataset.bundle.origin), options.out)
            size = path.stat().st_size
            print(f"{path.name}: {dataset.crystals} crystals, {size} bytes, SHA-256 {file_sha256(path)}")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
