"""A published data set from its files: records, checked against the catalogue."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from crystalformer.data.datasets.row import Part
from crystalformer.sources.published.census import Census
from crystalformer.sources.published.csv_files import read_csv
from crystalformer.sources.published.jarvis import read_jarvis
from crystalformer.sources.published.matbench import read_matbench
from crystalformer.sources.published.pickles import read_pickle
from crystalformer.sources.records import Record

READERS: Mapping[str, Callable[[Path, Part, str | None], Iterator[Record]]] = {
    "jarvis": read_jarvis,
    "matbench": read_matbench,
    "csv": read_csv,
    "pickle": read_pickle,
}


def read_published(census: Census, folder: Path) -> Iterator[Record]:
    """The records of the parts that the census expects, from the files in the folder.

    Raises:
        DataError: a file is not of its format, or the whole is not the published data set.
    """
    return census.passing(_records(census.parts, folder))


def _records(parts: tuple[Part, ...], folder: Path) -> Iterator[Record]:
    for part in parts:
        for file in part.files:
            for record in READERS[part.format](folder / file.name, part, file.split):
                yield replace(record, id=record.id + part.suffix) if part.suffix else record
