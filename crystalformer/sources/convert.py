"""Convert a data set: source -> `Crystal`s -> array store below the root, once.

A small file in `<root>/sources/` remembers which store a source, recognised by its checksum, was converted
to, and which of its rows were rejected; `<root>/<name>-<checksum>.rejected.csv` shows them to the user.
Processes that ask for the same data set at the same time wait for the first.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from crystalformer.data.array_cache import with_progress
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.cell_names import AS_GIVEN
from crystalformer.data.crystal import Crystal
from crystalformer.data.manifest import folder_lock, to_json, write_atomically
from crystalformer.data.store_writer import StoreWriter
from crystalformer.sources.find import find_sources
from crystalformer.sources.parallel import convert_rows
from crystalformer.sources.published.download import TransferWatcher
from crystalformer.sources.records import DataError, Rejection, Source, distinct
from crystalformer.sources.rejections import named, write_report
from crystalformer.sources.structures import Rules

CONVERSION = 4  # to be raised when the same source would give other crystals


@dataclass(frozen=True)
class Conversion:
    """A converted data set.

    Attributes:
        store: the crystals.
        rejections: rows that are not in it, and single values of targets that are not.
        report: the CSV file that lists them, None without any.
    """

    store: ArrayStore
    rejections: tuple[Rejection, ...]
    report: Path | None

    @property
    def rejected_rows(self) -> int:
        """Number of rows that are not in the store."""
        return sum(not rejection.target for rejection in self.rejections)


@dataclass(frozen=True)
class _Place:
    """Where a source's conversion is remembered."""

    root: Path
    source: Source
    cell: str

    @property
    def fingerprint(self) -> str:
        parts = [f"conversion {CONVERSION}", self.source.fingerprint]
        parts += [f"cell {self.cell}"] if self.cell != AS_GIVEN else []
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def key(self) -> str:
        return f"{self.source.name}-{self.fingerprint[:12]}"

    @property
    def entry(self) -> Path:
        return self.root / "sources" / f"{self.key}.json"

    @property
    def report(self) -> Path:
        return self.root / f"{self.key}.rejected.csv"


def prepare(
    dataset: str | Path,
    root: Path | str,
    max_rejected: float | int = 0,
    targets: Sequence[str] | None = None,
    watcher: TransferWatcher | None = None,
    cell: str = AS_GIVEN,
) -> ArrayStore:
    """The opened store of a data set; `convert` also tells what is not in it."""
    return convert(dataset, root, max_rejected, targets, watcher, cell).store


def prepared(
    dataset: str | Path,
    root: Path | str,
    max_rejected: float | int = 0,
    targets: Sequence[str] | None = None,
    cell: str = AS_GIVEN,
) -> ArrayStore | None:
    """The opened store of a data set that was prepared with these targets or with all, else None.

    Raises:
        DataError, StoreError: as `convert`.
    """
    root = Path(root).resolve()
    places = [_Place(root, source, cell) for source in find_sources(dataset, root, targets)]
    found = _first_converted(places)
    return None if found is None else _checked(*found, max_rejected).store


def convert(
    dataset: str | Path,
    root: Path | str,
    max_rejected: float | int = 0,
    targets: Sequence[str] | None = None,
    watcher: TransferWatcher | None = None,
    cell: str = AS_GIVEN,
    workers: int | None = None,
) -> Conversion:
    """The opened store of a data set, converted unless that has been done.

    Args:
        dataset: a name of the catalogue, or the path of a file or folder (see `tables`).
        root: where stores lie.
        max_rejected: rows that may be left out because they cannot be used: a count (int) or a share of all
            rows (float below 1). They are listed in the report either way.
        targets: those that are wanted (None: all). Of a published data set only the files that give them are
            needed; those that are not there are downloaded.
        watcher: is told of downloads.
        cell: which cell of each crystal is stored, see `cells`.
        workers: processes, see `parallel.convert_rows`.

    Raises:
        DataError: an unknown name, a source that cannot be had or read, or more rows rejected than allowed.
        StoreError: the store is there, but damaged.
    """
    root = Path(root).resolve()
    places = [_Place(root, source, cell) for source in find_sources(dataset, root, targets, watcher)]
    found = _first_converted(places)
    if found is None:
        place = places[-1]
        with folder_lock(place.entry):
            found = place, _converted(place) or _convert(place, workers)
    return _checked(*found, max_rejected)


def _first_converted(places: Sequence[_Place]) -> tuple[_Place, Conversion] | None:
    for place in places:
        conversion = _converted(place)
        if conversion is not None:
            return place, conversion
    return None


def _convert(place: _Place, workers: int | None) -> Conversion:
    source = place.source
    reading = source.read()
    rejections: list[Rejection] = []
    with StoreWriter(place.root, source.name) as writer:
        rows = convert_rows(distinct(reading.rows), Rules(place.cell, source.own), workers)
        for row, converted in with_progress(rows, reading.total, f"converting {source.name}"):
            if isinstance(converted, Crystal):
                writer.add(converted)
                rejections += row.faults if not isinstance(row, Rejection) else ()
            else:
                rejections.append(converted)
        write_report(place.report, rejections)
        if not len(writer):
            listed = f":\n{named(rejections)}\nAll are listed in {place.report}" if rejections else ""
            raise DataError(
                f"{source.name}: expected at least one readable crystal, got none of "
                f"{len(rejections)}{listed}"
            )
        provenance = {**source.provenance, **source.learned(rejections), "ignored_columns": reading.ignored}
        path = writer.finish(source.units, provenance, place.cell)
    known = {
        "fingerprint": place.fingerprint,
        "store": path.name,
        "rejected": [list(astuple(rejection)) for rejection in rejections],
    }
    write_atomically(place.entry, to_json(known))
    return _conversion(place, ArrayStore.open(path), rejections)


def _converted(place: _Place) -> Conversion | None:
    """What this source was converted to, or None if that has not been done or the store was deleted."""
    try:
        known = json.loads(place.entry.read_bytes())
        path = place.root / known["store"]
        rejections = [Rejection(*fields) for fields in known["rejected"]]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if known.get("fingerprint") != place.fingerprint or not path.is_dir():
        return None
    return _conversion(place, ArrayStore.open(path), rejections)


def _conversion(place: _Place, store: ArrayStore, rejections: list[Rejection]) -> Conversion:
    return Conversion(store, tuple(rejections), place.report if rejections else None)


def _checked(place: _Place, conversion: Conversion, max_rejected: float | int) -> Conversion:
    rows = [rejection for rejection in conversion.rejections if not rejection.target]
    total = len(conversion.store) + len(rows)
    allowed = allowed_count(max_rejected, total)
    if len(rows) > allowed:
        raise DataError(
            f"{place.source.name}: expected at most {allowed} unreadable crystals (max_rejected), "
            f"got {len(rows)} of {total}:\n{named(rows)}\nAll are listed in {place.report}"
        )
    return conversion


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
