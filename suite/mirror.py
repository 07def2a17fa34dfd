"""A copy of an experiment on any file system that pyarrow knows, from which another machine continues it.

A run folder is on a disk or a mounted file system while the search runs: processes append to its files, lock
them and replace them. An object store cannot do that, so it gets whole files: what is new or has changed is
written every minute, and once more when the search ends. Where a machine has no run folder of an experiment,
it is fetched from there first. The data are not part of it; they are prepared again and compared.
"""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from pyarrow import fs

from suite.storage_url import without_secrets

MIRROR_ERRORS = (OSError, pa.ArrowException)
_OBJECT_STORES = ("s3", "gcs", "abfs")  # where a file appears when it is complete
_LAST = ("study", "trials.parquet", "search.json")  # what speaks of other files follows them
_PIECE = 1 << 20


class MirrorError(ValueError):
    """The file system cannot be used, or what is there does not belong to the run folder."""


@dataclass
class Mirror:
    """The copy of one experiment.

    Attributes:
        shown: its URL, without secrets.
        filesystem, path: where it is.
    """

    shown: str
    filesystem: fs.FileSystem
    path: str
    _sent: dict[str, tuple[int, int]] = field(default_factory=dict)  # file -> size and time of change

    @classmethod
    def open(cls, url: str, name: str) -> Self:
        """The place of experiment `name` below a URL, such as `s3://bucket/searches`; it is tried first.

        Raises:
            MirrorError: there is no such file system, or a file cannot be written, read and removed there.
        """
        shown = f"--mirror {without_secrets(url)}"
        try:
            filesystem, path = fs.FileSystem.from_uri(url)
            mirror = cls(shown, filesystem, f"{path.rstrip('/')}/{name}")
            mirror._try()
        except (*MIRROR_ERRORS, ValueError) as error:
            said = str(error).strip().splitlines()[0]
            raise MirrorError(f"{shown}: expected a file system to write to, got {said}") from error
        return mirror

    def settle(self, folder: Path) -> None:
        """Make the run folder hold the latest state: fetched, where there is none.

        Raises:
            MirrorError: the copy is of another experiment or later than the folder.
        """
        there = self._record()
        if there is None:
            return
        if not (folder / "search.json").exists():
            self._fetch(folder)
            return
        here = json.loads((folder / "search.json").read_text(encoding="utf-8"))
        if there["id"] != here["id"]:
            raise MirrorError(f"{self.shown}: holds another experiment of this name: choose another --name")
        if there["seconds"] > here["seconds"] + 1:
            raise MirrorError(
                f"{self.shown}: was continued elsewhere ({there['seconds'] / 3600:.2f} h, here "
                f"{here['seconds'] / 3600:.2f} h): continue it there, or move {folder} away to fetch it"
            )

    def holds_one(self) -> bool:
        """Whether there is an experiment."""
        return self._record() is not None

    def push(self, folder: Path) -> None:
        """Write what is new or has changed since the last time, and remove what is gone."""
        there = self._listed()
        here = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
        for name in sorted(here, key=lambda name: (_rank(name), name)):
            with suppress(FileNotFoundError):  # gone since, as checkpoints go
                state = _state(here[name])
                if self._sent.get(name) != state or name not in there:
                    self._send(here[name], name)
                    self._sent[name] = state
        for name in there - here.keys():
            self.filesystem.delete_file(f"{self.path}/{name}")
            self._sent.pop(name, None)

    def _fetch(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for name in self._listed():
                target = partial / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with (
                    self.filesystem.open_input_stream(f"{self.path}/{name}") as source,
                    target.open("wb") as to,
                ):
                    shutil.copyfileobj(source, to, _PIECE)
            partial.chmod(0o755)
            os.replace(partial, folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _listed(self) -> set[str]:
        """Names of the files that are there, below the experiment.

        Raises:
            MirrorError: one leads out of it; an object store takes any name.
        """
        selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        files = (info.path[len(self.path) + 1 :] for info in found if info.type == fs.FileType.File)
        names = {name for name in files if _is_kept(name.rpartition("/")[2])}
        for name in names:
            if ".." in (parts := name.split("/")) or "" in parts:
                raise MirrorError(f"{self.shown}: expected files of an experiment, got {name!r}")
        return names

    def _record(self) -> dict[str, Any] | None:
        path = f"{self.path}/search.json"
        if self.filesystem.get_file_info(path).type != fs.FileType.File:
            return None
        with self.filesystem.open_input_stream(path) as file:
            return json.loads(file.read())

    def _send(self, path: Path, name: str) -> None:
        with _still(path) as source:
            self._write(f"{self.path}/{name}", source)

    def _write(self, to: str, source: Path) -> None:
        parent, _, name = to.rpartition("/")
        whole = self.filesystem.type_name in _OBJECT_STORES
        if not whole:
            self.filesystem.create_dir(parent, recursive=True)
        target = to if whole else f"{parent}/.{name}.partial"
        with source.open("rb") as file, self.filesystem.open_output_stream(target) as out:
            shutil.copyfileobj(file, out, _PIECE)
        if not whole:
            self.filesystem.move(target, to)

    def _try(self) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"probe")
            file.flush()
            path = f"{self.path}/probe-{os.urandom(4).hex()}"
            self._write(path, Path(file.name))
            with self.filesystem.open_input_stream(path) as probe:
                if probe.read() != b"probe":
                    raise OSError("other bytes than were written")
            self.filesystem.delete_file(path)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and _is_kept(path.name))


def _is_kept(name: str) -> bool:
    """Whether a file belongs to the experiment: no lock, nothing half-written, no message to a process."""
    return not (name.startswith(".") or ".partial" in name or name.endswith(("-journal", ".asked")))


def _rank(name: str) -> int:
    return next((rank for rank, start in enumerate(_LAST, 1) if name.startswith(start)), 0)


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@contextmanager
def _still(path: Path) -> Iterator[Path]:
    """The file, or a copy of it where it is a database that may be written meanwhile."""
    with path.open("rb") as file:
        is_database = file.read(16) == b"SQLite format 3\0"
    if not is_database:
        yield path
        return
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / path.name
        source, target = sqlite3.connect(path, timeout=60), sqlite3.connect(copy)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
        yield copy
