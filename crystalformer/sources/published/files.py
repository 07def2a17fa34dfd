"""The files of published data sets, in `<root>/downloads/<data set>/`: downloaded, or copied there by hand.

`files.json` beside them says where each came from and which SHA-256 it had then.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crystalformer.data.datasets.row import Dataset, Part, SourceFile
from crystalformer.data.manifest import folder_lock, to_json, write_atomically
from crystalformer.sources.published.download import Patience, TransferWatcher, download
from crystalformer.sources.published.verify import Damaged, verified
from crystalformer.sources.records import DataError

ORIGINS = "files.json"
BY_HAND = "copied by hand"

__all__ = ["TransferWatcher", "Unobtainable", "identity", "obtain", "place", "take"]


class Unobtainable(DataError):
    """Files of a data set are not here and could not be downloaded; `files` are those still missing."""

    def __init__(self, message: str, dataset: Dataset, files: Sequence[SourceFile]) -> None:
        super().__init__(message)
        self.dataset = dataset
        self.files = tuple(files)


def identity(part: Part) -> str:
    """Text that changes when the part would give other crystals; addresses do not count."""
    fields = asdict(part)
    fields["files"] = [[file.name, file.sha256, file.split] for file in part.files]
    return json.dumps(fields, sort_keys=True)


def place(root: Path, dataset: Dataset) -> Path:
    """The folder of a data set's files."""
    return root / "downloads" / dataset.name


def obtain(
    dataset: Dataset,
    parts: Sequence[Part],
    root: Path,
    watcher: TransferWatcher | None = None,
    patience: Patience | None = None,
) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The folder with the files of these parts, and their origins; absent files are downloaded.

    Raises:
        Unobtainable: a file is not here and cannot be downloaded.
        DataError: the folder cannot be written.
    """
    folder = place(root, dataset)
    files = [file for part in parts for file in part.files]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: expected a folder to write to, got {error.strerror or error}") from error
    for file in files:
        if not (folder / file.name).is_file():
            try:
                if origin := download(file, folder, watcher, patience):
                    _remember(folder, file.name, origin)
            except DataError as error:
                missing = [other for other in files if not (folder / other.name).is_file()]
                raise Unobtainable(f"{dataset.name}: {error}", dataset, missing) from error
    return folder, {
        name: origin for name, origin in origins(folder).items() if name in {f.name for f in files}
    }


def origins(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> origin of the files in a folder; empty where it is not known."""
    try:
        return json.loads((folder / ORIGINS).read_bytes())
    except (OSError, ValueError):
        return {}


def take(dataset: Dataset, given: Sequence[Path], root: Path) -> list[SourceFile]:
    """Copy files that were brought by hand to their place; those that were taken.

    Each path is a file or a folder of files. A file is recognised by its name; a data set of a single file
    takes it under any name.

    Raises:
        DataError: a path is none of the data set's files, or is not the published one.
    """
    files = {file.name: file for part in dataset.parts for file in part.files}
    folder = place(root, dataset)
    taken = []
    for path in given:
        if path.is_dir():
            found = [(files[name], path / name) for name in files if (path / name).is_file()]
            if not found:
                raise DataError(f"{path}: expected a folder with {' or '.join(files)}, got none of them")
        else:
            found = [(_recognised(dataset, files, path), path)]
        for file, source in found:
            _copy(file, source, folder)
            taken.append(file)
    return taken


def _recognised(dataset: Dataset, files: dict[str, SourceFile], path: Path) -> SourceFile:
    if not path.is_file():
        raise DataError(f"{path}: expected a file to copy, got nothing of that name")
    if path.name in files:
        return files[path.name]
    single = [part.files[0] for part in dataset.parts if len(part.files) == 1]
    if len(single) == 1 and path.name.lower().endswith((".json", ".zip", ".gz")):
        return single[0]
    raise DataError(
        f"{path}: expected a file named {' or '.join(files)}: those of {dataset.name} are told apart by name"
    )


def _copy(file: SourceFile, source: Path, folder: Path) -> None:
    target, part = folder / file.name, folder / f"{file.name}.copy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(target):
            try:
                shutil.copyfile(source, part)
                origin = verified(file, part)
                os.replace(part, target)
            finally:
                part.unlink(missing_ok=True)
    except Damaged as error:
        raise DataError(f"{source}: {error}") from error
    except OSError as error:
        raise DataError(f"{source}: cannot be copied to {target}: {error.strerror or error}") from error
    _remember(folder, file.name, {"url": BY_HAND, **origin})


def _remember(folder: Path, name: str, origin: dict[str, Any]) -> None:
    with folder_lock(folder / ORIGINS):
        write_atomically(folder / ORIGINS, to_json(origins(folder) | {name: origin}))
