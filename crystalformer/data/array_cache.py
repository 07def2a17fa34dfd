"""Arrays derived from a store, such as neighbour lists: built once, then read memory-mapped.

The folder `<cache>/<data set>-<kind>-<key>` holds one `.npy` file per array and a `manifest.json` with the
identity (rule, digest of the store, settings) and the checksums of the files. The key is a digest of the
identity: changed data or settings get a folder of their own.
"""

import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Shaped

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.array_writers import ArrayWriter, FolderWriter, MemoryWriter
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

log = logging.getLogger(__name__)
T = TypeVar("T")


def open_arrays(
    store: ArrayStore,
    cache_folder: Path | None,
    kind: str,
    identity: Mapping[str, Any],
    build: Callable[[ArrayWriter], None],
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of a kind, by name; built where `cache_folder` does not have them yet.

    Any number of processes may call this at once: one builds, the others wait for it. Damaged files are
    noticed by their checksums and built again.

    Args:
        store: the data set.
        cache_folder: where folders of derived arrays lie; None: they are built in memory and stay there.
        kind: in the folder's name.
        identity: what the arrays depend on, beside the store: whatever JSON can hold.
        build: writes the arrays.
    """
    if cache_folder is None:
        memory = MemoryWriter()
        build(memory)
        return memory.arrays
    identity = {"store": store.digest, **identity}
    key = hashlib.sha256(to_json(identity)).hexdigest()[:12]
    path = Path(cache_folder).resolve() / f"{store.name}-{kind}-{key}"
    if path.exists():
        try:
            return _open(path, identity)
        except StoreError:
            pass  # damaged, or just being replaced by another process: look again with the lock
    with folder_lock(path):
        if path.exists():
            try:
                return _open(path, identity)
            except StoreError as error:
                log.warning("building again: %s", error)
                shutil.rmtree(path)
        _build(path, identity, build)
        return _open(path, identity)


def _open(path: Path, identity: Mapping[str, Any]) -> dict[str, np.ndarray]:
    manifest = read_manifest(path)
    if manifest.get("identity") != identity:
        raise store_error(path, "manifest.json", identity, manifest.get("identity"))
    arrays = {}
    for name, expected in manifest["files"].items():
        file = path / name
        checksum = file_sha256(file) if file.is_file() else "no such file"
        if checksum != expected:
            raise store_error(path, name, f"SHA-256 {expected}", checksum)
        arrays[file.stem] = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    return arrays


def _build(path: Path, identity: Mapping[str, Any], build: Callable[[ArrayWriter], None]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed: this one has the lock
    partial.mkdir()
    try:
        build(FolderWriter(partial))
        files = {file.name: file_sha256(file) for file in sorted(partial.glob("*.npy"))}
        write_manifest(partial, {"format": FORMAT, "identity": dict(identity), "files": files})
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def with_progress(parts: Iterable[T], total: int | None, description: str) -> Iterator[T]:
    """The parts as they come; on a terminal, with a bar, unless there is one part only."""
    if total == 1 or not sys.stderr.isatty():
        yield from parts
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(
        parts,
        description=description,
        total=total,
        console=Console(stderr=True),
        transient=True,
    )
