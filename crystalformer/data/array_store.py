"""`ArrayStore`: one data set on disk as flat arrays with offsets, opened memory-mapped.

The folder `<root>/<name>-<first 12 digits of the digest>` holds, for C crystals with N atoms in all:

| file | shape | unit | meaning |
|---|---|---|---|
| `lattices.npy` | (C, 3, 3) float64 | Å | the rows are the cell vectors |
| `frac_coords.npy` | (N, 3) float64 | - | fractional coordinates, crystal after crystal |
| `numbers.npy` | (N,) uint8 | - | atomic numbers |
| `offsets.npy` | (C + 1,) int64 | - | crystal i owns the atoms offsets[i] to offsets[i + 1] - 1 |
| `targets.npy` | (targets, C) float64 | per target | NaN: missing; rows as in the manifest's `targets` |
| `mixed.npy` | (rows, 3) float64 | - | rows (atom, Z, fraction) of `mixed_sites`; absent without any |
| `ids.json` | - | - | ids of the crystals and labels of the data set's own split, read when first asked for |
| `splits/*.json` | - | - | id lists, see `splits` |
| `manifest.json` | - | - | name, digest, cell, counts, units, checksums, source, splits |

The digest is the SHA-256 of ids, split labels, target names, array values and the cell (unless as given)
alone, so it is the same on every machine and at any time. All workers of a node share the pages of the mapped
arrays. `store_writer` writes a store.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Int, Shaped

from crystalformer.data.cell_names import AS_GIVEN
from crystalformer.data.crystal import Crystal
from crystalformer.data.manifest import (
    FORMAT,
    StoreError,
    file_sha256,
    read_manifest,
    store_error,
    to_json,
)

IDS = "ids.json"
MIXED = "mixed"  # the one array that only some stores have
ARRAYS = {  # name -> dtype; the byte order is fixed, so files and digest are the same on every machine
    "lattices": "<f8",
    "frac_coords": "<f8",
    "numbers": "|u1",
    "offsets": "<i8",
    "targets": "<f8",
    MIXED: "<f8",
}
DIGEST_CHARACTERS = 12  # of the hexadecimal digest, in the folder's name

__all__ = ["ArrayStore", "StoreError", "store_digest"]


class ArrayStore:
    """A data set opened for reading; see the module's table for shapes and units.

    `targets` is a dict of float64 arrays of shape (C,), `units` gives the unit of each target or None
    where it is not known. The arrays are mapped read-only. Pickling sends the path only.
    """

    def __init__(
        self, path: Path, manifest: dict[str, Any], arrays: Mapping[str, Shaped[np.ndarray, "..."]]
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.name: str = manifest["name"]
        self.digest: str = manifest["digest"]
        self.cell: str = manifest.get("cell", AS_GIVEN)  # absent from early stores
        self.lattices = arrays["lattices"]
        self.frac_coords = arrays["frac_coords"]
        self.numbers = arrays["numbers"]
        self.offsets = arrays["offsets"]
        self.mixed = arrays.get(MIXED, np.empty((0, 3)))
        self.targets = {name: arrays["targets"][row] for row, name in enumerate(manifest["targets"])}
        self.units: dict[str, str | None] = dict(manifest["units"])

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Ids of the crystals, in the order of the rows."""
        return tuple(self._labels["ids"])

    @cached_property
    def split_labels(self) -> tuple[str | None, ...]:
        """Label of the data set's own split of each crystal, None without one."""
        return tuple(self._labels["split"])

    @cached_property
    def _labels(self) -> dict[str, list]:
        try:
            labels: dict[str, list] = json.loads((self.path / IDS).read_bytes())
        except (OSError, ValueError) as error:
            raise store_error(self.path, IDS, "JSON", f"an unreadable text ({error})") from None
        return labels

    @classmethod
    def open(cls, path: Path | str, verify: bool = True) -> Self:
        """Open a store; `verify` compares the checksum of every file, else only sizes and types.

        Raises:
            StoreError: a file is missing or not what the manifest says.
        """
        folder = Path(path).resolve()
        manifest = read_manifest(folder)
        for name, entry in manifest["files"].items():
            _check_file(folder, name, entry, verify)
        names = [name for name in ARRAYS if name != MIXED or f"{MIXED}.npy" in manifest["files"]]
        arrays = {name: _map_array(folder, f"{name}.npy", manifest["files"]) for name in names}
        return cls(folder, manifest, arrays)

    def __len__(self) -> int:
        return len(self.lattices)

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrayStore.open, (self.path, False)

    @property
    def sizes(self) -> Int[np.ndarray, " C"]:
        """Number of atoms of each crystal."""
        return np.diff(self.offsets)

    def crystal(self, row: int) -> Crystal:
        """The crystal of one row, as it was written."""
        atoms = slice(self.offsets[row], self.offsets[row + 1])
        mixed = slice(*np.searchsorted(self.mixed[:, 0], [atoms.start, atoms.stop]))
        values = {name: float(column[row]) for name, column in self.targets.items()}
        return Crystal(
            id=self.ids[row],
            lattice=self.lattices[row],
            frac_coords=self.frac_coords[atoms],
            numbers=self.numbers[atoms],
            targets={name: value for name, value in values.items() if not np.isnan(value)},
            split=self.split_labels[row],
            mixed=self.mixed[mixed] - [atoms.start, 0, 0],
        )

    def rows(self, ids: Iterable[str]) -> Int[np.ndarray, " ids"]:
        """Store rows of these ids, in their order.

        Raises:
            ValueError: an id is not in the store.
        """
        row_of_id = {id_: row for row, id_ in enumerate(self.ids)}
        wanted = list(ids)
        missing = [id_ for id_ in wanted if id_ not in row_of_id]
        if missing:
            raise ValueError(
                f"{len(missing)} ids are not in data set {self.name} ({self.digest[:DIGEST_CHARACTERS]}): "
                f"expected ids such as {self.ids[0]!r}, got {', '.join(map(repr, missing[:3]))}"
            )
        return np.array([row_of_id[id_] for id_ in wanted], dtype=np.int64)


def store_digest(folder: Path, ids: Mapping[str, list], names: Sequence[str], cell: str) -> str:
    """The digest of a store from the files in its folder; see the module for what goes into it."""
    head: dict[str, Any] = {"format": FORMAT, "targets": list(names), **ids}
    if cell != AS_GIVEN:
        head["cell"] = cell
    digest = hashlib.sha256(to_json(head))
    for key in ARRAYS:
        if (folder / f"{key}.npy").exists():
            values = np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
            digest.update(f"{key} {values.shape}".encode())
            digest.update(values.data if values.size else b"")
    return digest.hexdigest()


def _check_file(folder: Path, name: str, entry: Mapping[str, Any], verify: bool) -> None:
    path = folder / name
    if not path.is_file():
        raise store_error(folder, name, f"a file of {entry['bytes']} bytes", "no such file")
    if path.stat().st_size != entry["bytes"]:
        raise store_error(folder, name, f"{entry['bytes']} bytes", f"{path.stat().st_size} bytes")
    if verify:
        checksum = file_sha256(path)
        if checksum != entry["sha256"]:
            raise store_error(folder, name, f"SHA-256 {entry['sha256']}", checksum)


def _map_array(folder: Path, name: str, files: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    try:
        array = np.load(folder / name, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise store_error(folder, name, "a NumPy array", f"an unreadable file ({error})") from None
    expected = f"{files[name]['dtype']} of shape {tuple(files[name]['shape'])}"
    if f"{array.dtype.str} of shape {array.shape}" != expected:
        raise store_error(folder, name, expected, f"{array.dtype.str} of shape {array.shape}")
    return np.asarray(array)  # still mapped; a plain array is indexed faster than the memmap subclass
