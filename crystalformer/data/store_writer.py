"""Writes an array store crystal by crystal: memory stays flat however many there are.

Everything goes into a temporary folder, which is renamed in the end: the store is there whole or not at all.
A folder that a killed writer has left is removed by the next one.
"""

import re
import shutil
import tempfile
from array import array
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout

from crystalformer.data.array_store import (
    ARRAYS,
    DIGEST_CHARACTERS,
    IDS,
    MIXED,
    ArrayStore,
    store_digest,
)
from crystalformer.data.cell_names import AS_GIVEN
from crystalformer.data.crystal import Crystal
from crystalformer.data.growing_array import GrowingArray
from crystalformer.data.manifest import FORMAT, file_sha256, folder_lock, to_json, write_manifest
from crystalformer.durable import to_disk

ROWS = {"lattices": (3, 3), "frac_coords": (3,), "numbers": (), "offsets": (), MIXED: (3,)}
IN_USE = ".in-use"  # locked by the process that writes the folder


def write_store(
    folder: Path | str,
    name: str,
    crystals: Iterable[Crystal],
    units: Mapping[str, str | None],
    provenance: Mapping[str, Any],
) -> Path:
    """Write the crystals as a store below `folder`; returns the store's own folder.

    A store of the same name and digest is checked and used as it is. `units` has the unit of each target
    (None: unknown), `provenance` anything JSON can hold about the source.

    Raises:
        ValueError: no crystals, an id twice, or a name that is no file name.
        StoreError: the folder exists already, but is damaged.
    """
    with StoreWriter(folder, name) as writer:
        for crystal in crystals:
            writer.add(crystal)
        return writer.finish(units, provenance)


class StoreWriter:
    """One store being written; use it in a `with` block, whose end without `finish` leaves nothing.

    Raises:
        ValueError: a name that is no file name.
    """

    def __init__(self, folder: Path | str, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", name):
            raise ValueError(f"name: expected letters, digits and . _ + - only, at most 100, got {name!r}")
        self.root, self.name = Path(folder).resolve(), name
        self._ids: dict[str, str | None] = {}  # id -> label of the data set's own split
        self._targets: dict[str, array[float]] = {}
        self._atoms = 0

    def __enter__(self) -> Self:
        with folder_lock(self.root / self.name):
            _remove_leftovers(self.root)
            self._temporary = Path(tempfile.mkdtemp(dir=self.root, prefix=f".{self.name}.tmp-"))
            self._lock = FileLock(self._temporary / IN_USE)
            self._lock.acquire(timeout=0)
        self._stack = ExitStack()
        self._arrays = {
            key: self._stack.enter_context(GrowingArray(self._temporary / f"{key}.npy", ARRAYS[key], row))
            for key, row in ROWS.items()
        }
        self._arrays["offsets"].append(np.zeros(1))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._lock.release()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def __len__(self) -> int:
        """Number of crystals so far."""
        return len(self._ids)

    @property
    def atoms(self) -> int:
        """Number of atoms so far."""
        return self._atoms

    def add(self, crystal: Crystal) -> None:
        """Append a crystal.

        Raises:
            ValueError: there is one of this id.
        """
        if crystal.id in self._ids:
            raise ValueError(f"crystals: expected every id once, got {crystal.id!r} more than once")
        for target in crystal.targets.keys() - self._targets.keys():
            self._targets[target] = array("d", [np.nan]) * len(self._ids)
        for target, values in self._targets.items():
            values.append(crystal.targets.get(target, np.nan))
        arrays = self._arrays
        arrays["lattices"].append(crystal.lattice[None])
        arrays["frac_coords"].append(crystal.frac_coords)
        arrays["numbers"].append(crystal.numbers)
        arrays[MIXED].append(crystal.mixed + np.array([self._atoms, 0, 0]))
        self._atoms += len(crystal)
        arrays["offsets"].append(np.array([self._atoms]))
        self._ids[crystal.id] = crystal.split

    def finish(
        self, units: Mapping[str, str | None], provenance: Mapping[str, Any], cell: str = AS_GIVEN
    ) -> Path:
        """Put the store in its place, see `write_store`; `cell` says which cells are stored."""
        if not self._ids:
            raise ValueError("crystals: expected at least one, got none")
        names = sorted(self._targets)
        with (self._temporary / "targets.npy").open("wb") as file:
            rows = [np.frombuffer(self._targets[name], dtype=np.float64) for name in names]
            np.save(file, np.array(rows, dtype=ARRAYS["targets"]).reshape(len(names), len(self)))
        ids: dict[str, list] = {"ids": list(self._ids), "split": list(self._ids.values())}
        (self._temporary / IDS).write_bytes(to_json(ids))
        if not self._arrays[MIXED].length:
            self._arrays[MIXED].path.unlink()
        self._stack.close()
        digest = store_digest(self._temporary, ids, names, cell)
        path = self.root / f"{self.name}-{digest[:DIGEST_CHARACTERS]}"
        manifest = {
            "format": FORMAT,
            "name": self.name,
            "digest": digest,
            "cell": cell,
            "counts": {"crystals": len(self), "atoms": self._atoms},
            "targets": names,
            "units": {target: units.get(target) for target in names},
            "source": dict(provenance),
            "splits": {},
        }
        with folder_lock(path):
            if path.exists():
                ArrayStore.open(path)
            else:
                self._place(path, manifest)
        return path

    def _place(self, path: Path, manifest: dict[str, Any]) -> None:
        files: dict[str, dict[str, Any]] = {}
        for file_path in sorted(self._temporary.glob("[!.]*")):
            to_disk(file_path)
            files[file_path.name] = {"sha256": file_sha256(file_path), "bytes": file_path.stat().st_size}
            if file_path.suffix == ".npy":
                shape = np.load(file_path, mmap_mode="r", allow_pickle=False).shape
                files[file_path.name] |= {"shape": list(shape), "dtype": ARRAYS[file_path.stem]}
        (self._temporary / "splits").mkdir()
        write_manifest(self._temporary, {**manifest, "files": files})
        self._temporary.chmod(0o755)  # mkdtemp gives 0700, which would hide a shared data folder from others
        self._lock.release()
        (self._temporary / IN_USE).unlink(missing_ok=True)
        self._temporary.rename(path)


def _remove_leftovers(root: Path) -> None:
    """Remove the folders of writers that were killed: nobody holds their locks."""
    for leftover in root.glob(".*.tmp-*/"):
        try:
            with FileLock(leftover / IN_USE, timeout=0):
                shutil.rmtree(leftover, ignore_errors=True)
        except (Timeout, OSError):
            continue
