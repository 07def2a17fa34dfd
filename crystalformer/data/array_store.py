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
| `ids.json` | - | - | ids of the crystals and labels of the data set's own split |
| `splits/*.json` | - | - | id lists, see `splits` |
| `manifest.json` | - | - | name, digest, counts, units, checksums, source, rejected crystals, splits |

The digest is the SHA-256 of ids, split labels, target names and array values alone, so it is the same
on every machine and at any time. All workers of a node share the pages of the mapped arrays.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from crystalformer.data.crystal import Crystal
from crystalformer.data.manifest import (
    FORMAT,
    StoreError,
    file_sha256,
    folder_lock,
    read_manifest,
    store_error,
    to_json,
    write_manifest,
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

__all__ = ["ArrayStore", "StoreError", "write_store"]


class ArrayStore:
    """A data set opened for reading; see the module's table for shapes and units.

    `targets` is a dict of float64 arrays of shape (C,), `units` gives the unit of each target or None
    where it is not known. The arrays are mapped read-only. Pickling sends the path only.
    """

    def __init__(
        self, path: Path, manifest: dict[str, Any], arrays: Mapping[str, np.ndarray], ids: Any
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.name: str = manifest["name"]
        self.digest: str = manifest["digest"]
        self.lattices = arrays["lattices"]
        self.frac_coords = arrays["frac_coords"]
        self.numbers = arrays["numbers"]
        self.offsets = arrays["offsets"]
        self.mixed = arrays.get(MIXED, np.empty((0, 3)))
        self.targets = {name: arrays["targets"][row] for row, name in enumerate(manifest["targets"])}
        self.units: dict[str, str | None] = dict(manifest["units"])
        self.ids: tuple[str, ...] = tuple(ids["ids"])
        self.split_labels: tuple[str | None, ...] = tuple(ids["split"])

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
        try:
            ids = json.loads((folder / IDS).read_bytes())
        except ValueError as error:
            raise store_error(folder, IDS, "JSON", f"an unreadable text ({error})") from None
        return cls(folder, manifest, arrays, ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrayStore.open, (self.path, False)

    @property
    def sizes(self) -> np.ndarray:
        """Number of atoms of each crystal, shape (C,)."""
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

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """Store rows of these ids, in their order, int64.

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


def write_store(
    folder: Path | str,
    name: str,
    crystals: Sequence[Crystal],
    units: Mapping[str, str | None],
    provenance: Mapping[str, Any],
    rejected: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the crystals as a store below `folder`; returns the store's own folder.

    Under a lock the files are written into a temporary folder, which is then renamed: the store is
    there whole or not at all. A store of the same name and digest is checked and used as it is.
    `units` has the unit of each target (None: unknown), `provenance` anything JSON can hold about the
    source, `rejected` the (id, reason) of crystals that were left out.

    Raises:
        ValueError: no crystals, an id twice, or a name that is no file name.
        StoreError: the folder exists already, but is damaged.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", name):
        raise ValueError(f"name: expected letters, digits and . _ + - only, at most 100, got {name!r}")
    names = sorted({target for crystal in crystals for target in crystal.targets})
    arrays, ids = _to_arrays(crystals, names)
    digest = _digest(arrays, ids, names)
    path = Path(folder).resolve() / f"{name}-{digest[:DIGEST_CHARACTERS]}"
    manifest = {
        "format": FORMAT,
        "name": name,
        "digest": digest,
        "counts": {"crystals": len(crystals), "atoms": len(arrays["numbers"]), "rejected": len(rejected)},
        "targets": names,
        "units": {target: units.get(target) for target in names},
        "source": dict(provenance),
        "rejected": [{"id": id_, "reason": reason} for id_, reason in rejected],
        "splits": {},
    }
    with folder_lock(path):
        _remove_leftovers(path)
        if path.exists():
            ArrayStore.open(path)
        else:
            _write_folder(path, manifest, arrays, ids)
    return path


def _to_arrays(
    crystals: Sequence[Crystal], names: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, list]]:
    if not crystals:
        raise ValueError("crystals: expected at least one, got none")
    ids = [crystal.id for crystal in crystals]
    twice = [id_ for id_, count in Counter(ids).items() if count > 1]
    if twice:
        raise ValueError(
            f"crystals: expected every id once, got {', '.join(map(repr, twice[:3]))} more than once"
        )
    targets = np.full((len(names), len(crystals)), np.nan)
    for column, crystal in enumerate(crystals):
        for row, target in enumerate(names):
            targets[row, column] = crystal.targets.get(target, np.nan)
    offsets = np.cumsum([0] + [len(crystal) for crystal in crystals])
    values = {
        "lattices": np.stack([crystal.lattice for crystal in crystals]),
        "frac_coords": np.concatenate([crystal.frac_coords for crystal in crystals]),
        "numbers": np.concatenate([crystal.numbers for crystal in crystals]),
        "offsets": offsets,
        "targets": targets,
    }
    starts = zip(offsets[:-1], crystals, strict=True)
    mixed = np.concatenate([crystal.mixed + np.array([start, 0, 0]) for start, crystal in starts])
    if len(mixed):
        values[MIXED] = mixed
    arrays = {key: np.ascontiguousarray(value, dtype=ARRAYS[key]) for key, value in values.items()}
    return arrays, {"ids": ids, "split": [crystal.split for crystal in crystals]}


def _digest(arrays: Mapping[str, np.ndarray], ids: Mapping[str, list], names: Sequence[str]) -> str:
    digest = hashlib.sha256(to_json({"format": FORMAT, "targets": list(names), **ids}))
    for key in arrays:
        digest.update(f"{key} {arrays[key].shape}".encode())
        digest.update(arrays[key].data if arrays[key].size else b"")
    return digest.hexdigest()


def _write_folder(
    path: Path, manifest: dict[str, Any], arrays: Mapping[str, np.ndarray], ids: object
) -> None:
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.tmp-"))
    try:
        for key, array in arrays.items():
            with (temporary / f"{key}.npy").open("wb") as file:
                np.save(file, array, allow_pickle=False)
                _flush(file)
        with (temporary / IDS).open("wb") as file:
            file.write(to_json(ids))
            _flush(file)
        files = {}
        for file_path in sorted(temporary.iterdir()):
            files[file_path.name] = {"sha256": file_sha256(file_path), "bytes": file_path.stat().st_size}
        for key, array in arrays.items():
            files[f"{key}.npy"] |= {"shape": list(array.shape), "dtype": ARRAYS[key]}
        (temporary / "splits").mkdir()
        write_manifest(temporary, {**manifest, "files": files})
        temporary.chmod(0o755)  # mkdtemp gives 0700, which would hide a shared data folder from others
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _remove_leftovers(path: Path) -> None:
    """Remove temporary folders of writers that were killed; the caller holds the lock, so none is in use."""
    for leftover in path.parent.glob(f".{path.name}.tmp-*"):
        shutil.rmtree(leftover)


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
