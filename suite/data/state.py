"""What of a data set is here: nothing, files, or a prepared store."""

from pathlib import Path

from crystalformer.data.catalog import Dataset
from crystalformer.data.manifest import MANIFEST, StoreError, read_manifest
from crystalformer.sources.published.files import place

BUNDLED, PREPARED, DOWNLOADED, PARTLY, ABSENT = "bundled", "prepared", "downloaded", "partly here", "not here"


def stores(dataset: Dataset, root: Path) -> list[Path]:
    """The folders of prepared stores of this name, unopened."""
    return sorted(
        path.parent
        for path in root.glob(f"{dataset.name}-*/{MANIFEST}")
        if not path.parent.name.startswith(".") and _name(path.parent) == dataset.name
    )


def state(dataset: Dataset, root: Path) -> str:
    """One word or two for a table."""
    if stores(dataset, root):
        return PREPARED
    if dataset.bundle is not None:
        return BUNDLED
    folder = place(root, dataset)
    here = [(folder / file.name).is_file() for part in dataset.parts for file in part.files]
    return DOWNLOADED if all(here) else PARTLY if any(here) else ABSENT


def _name(store: Path) -> str | None:
    try:
        return read_manifest(store)["name"]
    except StoreError:
        return None
