"""The manifest of a store: what is in the folder, with checksums, and how files appear in it whole.

`manifest.json` lists every array file with its SHA-256, size, shape and dtype. It also carries a
checksum of itself, so that a damaged or edited manifest is noticed like a damaged array. Every file
is written beside its final name and then renamed, so a reader sees it whole or not at all.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock

FORMAT = 1
MANIFEST = "manifest.json"


class StoreError(ValueError):
    """A store on disk is missing, incomplete or damaged."""


def store_error(folder: Path, what: str, expected: object, got: object) -> StoreError:
    """The one form of all errors about a damaged store: which file, expected, got, what to do."""
    return StoreError(
        f"{folder / what}: expected {expected}, got {got}; delete the folder {folder} and run again"
    )


def folder_lock(folder: Path) -> FileLock:
    """Lock that one process at a time holds while it builds or extends `folder`.

    It lies beside the folder, since the folder itself appears by renaming.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.parent / f".{folder.name}.lock")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it has either its old or its new content, even if the machine stops."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.tmp-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp gives 0600, which would hide a shared data folder from others
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def to_json(value: object) -> bytes:
    """JSON text with sorted keys; NaN is refused, since not every reader of JSON knows it."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write `manifest` with its own checksum; returns what was written."""
    body = {key: value for key, value in manifest.items() if key != "checksum"}
    body["checksum"] = hashlib.sha256(to_json(body)).hexdigest()
    write_atomically(folder / MANIFEST, to_json(body))
    return body


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check `folder`/manifest.json.

    Raises:
        StoreError: it is absent, not JSON, of another format, or does not have its own checksum.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise store_error(folder, MANIFEST, "the manifest of a finished store", "no such file")
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise store_error(folder, MANIFEST, "JSON", f"an unreadable text ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise store_error(folder, MANIFEST, f"a manifest of format {FORMAT}", found)
    body = {key: value for key, value in manifest.items() if key != "checksum"}
    checksum = hashlib.sha256(to_json(body)).hexdigest()
    if manifest.get("checksum") != checksum:
        raise store_error(folder, MANIFEST, f"checksum {manifest.get('checksum')}", checksum)
    _check_names(folder, manifest)
    return manifest


def _check_names(folder: Path, manifest: dict[str, Any]) -> None:
    """A manifest names files of its own folder alone."""
    names = [*manifest.get("files", {}), *(split["file"] for split in manifest.get("splits", {}).values())]
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise store_error(folder, MANIFEST, "names of files inside the folder", repr(name))
