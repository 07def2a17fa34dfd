"""Prepare a data set: `python -m crystalformer.sources.convert NAME_OR_PATH --root data`.

Source -> `Crystal`s -> array store below the root, once: a small file in `<root>/sources/` remembers
which store a source, recognised by its checksum, was converted to. Processes that ask for the same data
set at the same time wait for the first.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from crystalformer.data.array_store import ArrayStore, write_store
from crystalformer.data.catalog import DATASETS, Dataset
from crystalformer.data.crystal import Crystal
from crystalformer.data.datasets.row import Part
from crystalformer.data.manifest import folder_lock, to_json, write_atomically
from crystalformer.sources.bundled import read_bundled
from crystalformer.sources.published.census import Census
from crystalformer.sources.published.files import TransferWatcher, identity, obtain
from crystalformer.sources.published.read import read_published
from crystalformer.sources.records import DataError, Record
from crystalformer.sources.structures import to_crystal
from crystalformer.sources.tables import Table, read_table

CONVERSION = 2  # to be raised when the same source would give other crystals
NAMED = 3  # rejected crystals named in a message

Rejected = list[tuple[str, str]]


@dataclass(frozen=True)
class _Source:
    name: str
    fingerprint: str
    read: Callable[[], tuple[list[Crystal], Rejected]]
    units: dict[str, str | None]
    provenance: dict[str, Any]


def prepare(
    dataset: str | Path,
    root: Path | str,
    max_rejected: float | int = 0,
    targets: Sequence[str] | None = None,
    watcher: TransferWatcher | None = None,
) -> ArrayStore:
    """The opened store of a data set: a name of the catalogue, or the path of a table (see `tables`).

    The store is built below `root` if it is not there. Crystals whose structure cannot be read are left
    out and listed in the manifest with the reason; `max_rejected` allows so many of them: a count (int)
    or a share of all crystals (float below 1). Of a published data set only the files that give `targets`
    are needed (default: all); those that are not there are downloaded, and `watcher` is told.

    Raises:
        DataError: an unknown name, a file that cannot be had or read, or more crystals rejected than allowed.
        StoreError: the store is there, but damaged.
    """
    root = Path(root).resolve()
    sources = _find(dataset, root, targets, watcher)
    store = _first_converted(root, sources, max_rejected)
    if store is None:
        source = sources[-1]
        entry = _entry(root, source)
        with folder_lock(entry):
            store = _converted(entry, source, max_rejected) or _convert(root, entry, source, max_rejected)
    return store


def prepared(
    dataset: str | Path,
    root: Path | str,
    max_rejected: float | int = 0,
    targets: Sequence[str] | None = None,
) -> ArrayStore | None:
    """The opened store of a data set that was prepared with these targets or with all, else None.

    Raises:
        DataError, StoreError: as `prepare`.
    """
    root = Path(root).resolve()
    return _first_converted(root, _find(dataset, root, targets), max_rejected)


def _first_converted(root: Path, sources: Sequence[_Source], max_rejected: float | int) -> ArrayStore | None:
    for source in sources:
        store = _converted(_entry(root, source), source, max_rejected)
        if store is not None:
            return store
    return None


def _entry(root: Path, source: _Source) -> Path:
    return root / "sources" / f"{source.name}-{source.fingerprint[:12]}.json"


def _convert(root: Path, entry: Path, source: _Source, max_rejected: float | int) -> ArrayStore:
    crystals, rejected = source.read()
    _check_rejected(source.name, rejected, len(crystals) + len(rejected), max_rejected)
    path = write_store(root, source.name, crystals, source.units, source.provenance, rejected)
    known = {"fingerprint": source.fingerprint, "store": path.name, "rejected": rejected}
    write_atomically(entry, to_json(known))
    return ArrayStore.open(path)


def _converted(entry: Path, source: _Source, max_rejected: float | int) -> ArrayStore | None:
    """The store that this source was converted to, or None if that has not been done or it was deleted."""
    try:
        known = json.loads(entry.read_bytes())
        path = entry.parent.parent / known["store"]
        rejected = [(id_, reason) for id_, reason in known["rejected"]]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if known.get("fingerprint") != source.fingerprint or not path.is_dir():
        return None
    store = ArrayStore.open(path)
    # Another source of the same crystals may have written the store, so its manifest does not tell.
    _check_rejected(source.name, rejected, len(store) + len(rejected), max_rejected)
    return store


def _find(
    dataset: str | Path,
    root: Path,
    targets: Sequence[str] | None = None,
    watcher: TransferWatcher | None = None,
) -> list[_Source]:
    """The sources that would do, the one with most targets first, the one with fewest last."""
    if isinstance(dataset, str) and dataset in DATASETS:
        row = DATASETS[dataset]
        if row.bundle is not None:
            return [_bundled_source(row)]
        wanted = row.parts_of(tuple(targets or row.targets))
        choices = [row.parts] if wanted == row.parts else [row.parts, wanted]
        return [_published_source(row, parts, root, watcher) for parts in choices]
    path = Path(dataset)
    looks_like_path = isinstance(dataset, Path) or path.suffix or len(path.parts) > 1
    if looks_like_path or path.exists():
        return [_table_source(read_table(path), path)]
    close = get_close_matches(str(dataset), DATASETS, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise DataError(f"data set: expected one of {', '.join(DATASETS)}, or a path, got {str(dataset)!r}{hint}")


def _bundled_source(dataset: Dataset) -> _Source:
    assert dataset.bundle is not None
    return _Source(
        name=dataset.name,
        fingerprint=_fingerprint(dataset.name, dataset.bundle.sha256, *dataset.targets),
        read=lambda: (read_bundled(dataset), []),
        units={name: target.unit for name, target in dataset.targets.items()},
        provenance={
            "file": dataset.bundle.file,
            "sha256": dataset.bundle.sha256,
            "citation": dataset.citation,
            "license": dataset.license,
        },
    )


def _published_source(
    dataset: Dataset, parts: tuple[Part, ...], root: Path, watcher: TransferWatcher | None
) -> _Source:
    """The row of the catalogue identifies the source, so a store does without the files it was made from."""
    provenance: dict[str, Any] = {"citation": dataset.citation, "license": dataset.license}

    def read() -> tuple[list[Crystal], Rejected]:
        folder, files = obtain(dataset, parts, root, watcher)
        census = Census(dataset, parts)
        crystals, rejected = _to_crystals(read_published(census, folder))
        provenance.update(files=files, absent=census.absent(id_ for id_, _ in rejected))
        return crystals, rejected

    return _Source(
        name=dataset.name,
        fingerprint=_fingerprint(dataset.name, *(identity(part) for part in parts)),
        read=read,
        units={name: target.unit for name, target in dataset.targets.items()},
        provenance=provenance,
    )


def _table_source(table: Table, path: Path) -> _Source:
    stem = path.resolve().name.split(".")[0]
    name = re.sub(r"[^A-Za-z0-9_+-]+", "-", stem).strip("-_+")[:60] or "table"
    fingerprint = table.fingerprint()
    return _Source(
        name=name,
        fingerprint=_fingerprint(name, fingerprint),
        read=lambda: _to_crystals(table.records),
        units={},
        provenance={"file": path.name, "sha256": fingerprint, "ignored_columns": list(table.ignored)},
    )


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\n".join([f"conversion {CONVERSION}", *parts]).encode()).hexdigest()


def _to_crystals(records: Iterable[Record]) -> tuple[list[Crystal], Rejected]:
    crystals, rejected = [], []
    for record in records:
        try:
            crystals.append(to_crystal(record))
        except ValueError as error:
            rejected.append((record.id, f"{record.where}: {error}"))
    return crystals, rejected


def _check_rejected(name: str, rejected: Rejected, total: int, max_rejected: float | int) -> None:
    allowed = allowed_count(max_rejected, total)
    if len(rejected) > allowed:
        listed = "\n".join(f"  {id_}: {reason}" for id_, reason in rejected[:NAMED])
        more = f"\n  and {len(rejected) - NAMED} more" if len(rejected) > NAMED else ""
        raise DataError(
            f"{name}: expected at most {allowed} unreadable crystals (max_rejected), got {len(rejected)} of "
            f"{total}:\n{listed}{more}"
        )
    if len(rejected) == total:
        raise DataError(f"{name}: expected at least one readable crystal, got none of {total}")


def allowed_count(max_rejected: float | int, total: int) -> int:
    """Number of crystals that `max_rejected` allows to leave out: a count (int) or a share (float below 1).

    Raises:
        ValueError: neither.
    """
    if isinstance(max_rejected, int) and not isinstance(max_rejected, bool) and max_rejected >= 0:
        return max_rejected
    if isinstance(max_rejected, float) and 0 <= max_rejected < 1:
        return int(max_rejected * total)
    raise ValueError(
        f"max_rejected: expected a count of crystals or a share from 0 to below 1, got {max_rejected!r}"
    )


def _count_or_share(text: str) -> float | int:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise DataError(f"--max-rejected: expected a count or a share below 1, got {text!r}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 2 the input is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m crystalformer.sources.convert", description="Prepare a data set."
    )
    parser.add_argument("dataset", help=f"{', '.join(DATASETS)}, or the path of a CSV, JSON file or folder")
    parser.add_argument("--root", type=Path, default=Path("data"), help="where stores lie (default: data)")
    parser.add_argument(
        "--max-rejected", default="0", help="unreadable crystals allowed: a count, or a share below 1"
    )
    options = parser.parse_args(arguments)
    try:
        store = prepare(options.dataset, options.root, _count_or_share(options.max_rejected))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{store.path}: {len(store)} crystals, {len(store.numbers)} atoms")
    for name, unit in store.units.items():
        print(f"  target {name} ({unit or 'unit not known'})")
    for row in store.manifest["rejected"]:
        print(f"  rejected {row['id']}: {row['reason']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
