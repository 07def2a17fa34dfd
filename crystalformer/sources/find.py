"""Which source a data set has: a name of the catalogue, or the path of the user's own file or folder."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from crystalformer.data.catalog import DATASETS, Dataset
from crystalformer.data.datasets.row import Part
from crystalformer.sources.bundled import read_bundled
from crystalformer.sources.published.census import Census
from crystalformer.sources.published.files import TransferWatcher, identity, obtain
from crystalformer.sources.published.read import read_published
from crystalformer.sources.records import DataError, Reading, Record, Rejection, Source
from crystalformer.sources.tables import fingerprint, open_table


def find_sources(
    dataset: str | Path,
    root: Path,
    targets: Sequence[str] | None = None,
    watcher: TransferWatcher | None = None,
) -> list[Source]:
    """The sources that would do, the one with most targets first, the one with fewest last.

    Args:
        dataset: a name of the catalogue, or the path of a file or folder.
        root: where stores and downloads lie.
        targets: those that are wanted (None: all). Of a published data set only the files that give them are
            needed.
        watcher: is told of downloads, which begin when the source is read.

    Raises:
        DataError: an unknown name, or a path without a data set.
    """
    if isinstance(dataset, str) and dataset in DATASETS:
        row = DATASETS[dataset]
        if row.bundle is not None:
            return [_bundled(row)]
        wanted = row.parts_of(tuple(targets or row.targets))
        choices = [row.parts] if wanted == row.parts else [row.parts, wanted]
        return [_published(row, parts, root, watcher) for parts in choices]
    path = Path(dataset)
    looks_like_path = isinstance(dataset, Path) or path.suffix or len(path.parts) > 1
    if looks_like_path or path.exists():
        return [_own(path)]
    close = get_close_matches(str(dataset), DATASETS, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise DataError(f"data set: expected one of {', '.join(DATASETS)}, or a path, got {str(dataset)!r}{hint}")


def _bundled(dataset: Dataset) -> Source:
    assert dataset.bundle is not None

    def read() -> Reading:
        crystals = read_bundled(dataset)
        rows = (
            Record(crystal.id, f"row {number}", "crystal", crystal, crystal.targets, crystal.split)
            for number, crystal in enumerate(crystals, start=1)
        )
        return Reading(rows, len(crystals))

    return Source(
        name=dataset.name,
        fingerprint="\n".join([dataset.name, dataset.bundle.sha256, *dataset.targets]),
        read=read,
        units={name: target.unit for name, target in dataset.targets.items()},
        provenance={
            "file": dataset.bundle.file,
            "sha256": dataset.bundle.sha256,
            "citation": dataset.citation,
            "license": dataset.license,
        },
    )


def _published(
    dataset: Dataset, parts: tuple[Part, ...], root: Path, watcher: TransferWatcher | None
) -> Source:
    """The row of the catalogue identifies the source, so a store does without the files it was made from."""
    census = Census(dataset, parts)
    origins: dict[str, Any] = {}

    def read() -> Reading:
        folder, files = obtain(dataset, parts, root, watcher)
        origins.update(files)
        counts = [part.crystals for part in parts]
        total = None if None in counts else sum(count for count in counts if count is not None)
        return Reading(read_published(census, folder), total)

    def learned(rejections: Sequence[Rejection]) -> dict[str, Any]:
        return {"files": origins, "absent": census.absent(row.id for row in rejections if not row.target)}

    return Source(
        name=dataset.name,
        fingerprint="\n".join([dataset.name, *(identity(part) for part in parts)]),
        read=read,
        units={name: target.unit for name, target in dataset.targets.items()},
        provenance={"citation": dataset.citation, "license": dataset.license},
        learned=learned,
    )


def _own(path: Path) -> Source:
    table = open_table(path)
    stem = path.resolve().name.split(".")[0]
    name = re.sub(r"[^A-Za-z0-9_+-]+", "-", stem).strip("-_+")[:60] or "table"
    sha256 = fingerprint(table)
    return Source(
        name=name,
        fingerprint=f"{name}\n{sha256}",
        read=table.read,
        units={},
        provenance={"file": path.name, "sha256": sha256},
        own=True,
    )
