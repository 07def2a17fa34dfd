"""`prepare` and `verify`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.catalog import DATASETS, Dataset
from crystalformer.data.official import Roster
from crystalformer.sources.convert import Conversion, convert
from crystalformer.sources.published.census import compare
from crystalformer.sources.published.files import origins, place, take
from crystalformer.sources.published.verify import Damaged, verified
from crystalformer.sources.records import DataError
from suite.data.state import stores
from suite.data.transfers import watching_transfers


def prepare_named(
    name: str,
    given: Sequence[Path],
    targets: Sequence[str],
    root: Path,
    max_rejected: int,
    cell: str,
    console: Console,
) -> Conversion:
    """Take files that were copied by hand, download the others, convert.

    Raises:
        DataError: no such data set, target or file, one that is not the published one, or not to be had.
        StoreError: it is prepared, but damaged.
    """
    dataset = DATASETS.get(name)
    if dataset is None or dataset.bundle is not None:
        if given:
            raise DataError(f"--from: expected a data set that is downloaded, got {name}")
        return convert(name, root, max_rejected, cell=cell)
    for target in targets:
        if target not in dataset.targets:
            raise DataError(f"--target: expected one of {', '.join(dataset.targets)}, got {target!r}")
    for file in take(dataset, given, root):
        console.print(f"taken: {file.name}", markup=False, highlight=False)
    with watching_transfers(console) as watcher:
        return convert(name, root, max_rejected, targets or None, watcher, cell)


def faults(dataset: Dataset, root: Path) -> Iterator[str]:
    """What is wrong with the files and stores of a data set that are here, in words.

    Raises:
        DataError: nothing is here.
    """
    folder, known = place(root, dataset), origins(place(root, dataset))
    files = [file for part in dataset.parts for file in part.files if (folder / file.name).is_file()]
    prepared = stores(dataset, root)
    if not files and not prepared:
        raise DataError(f"{dataset.name}: expected files or a prepared store in {root}, got neither")
    for file in files:
        try:
            found = verified(file, folder / file.name)
        except Damaged as error:
            yield f"{folder / file.name}: {error}"
        else:
            before = known.get(file.name, found)["sha256"]
            if found["sha256"] != before:
                now = found["sha256"]
                yield f"{folder / file.name}: expected SHA-256 {before} as when it came, got {now}"
    for path in prepared:
        try:
            store = ArrayStore.open(path)
            if dataset.bundle is None:
                compare(dataset, dataset.parts_of(tuple(store.targets)), Roster.of(store))
        except ValueError as error:
            yield str(error)
