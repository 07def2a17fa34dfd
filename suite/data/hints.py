"""What to do where a file cannot be downloaded."""

from collections.abc import Sequence
from pathlib import Path

from crystalformer.data.catalog import Dataset
from crystalformer.data.datasets.row import SourceFile

QUICKSTART = "search_spaces/quickstart.yaml"


def by_hand(dataset: Dataset, files: Sequence[SourceFile], root: Path) -> str:
    """Which files to fetch elsewhere and how they are taken."""
    where = "" if root == Path("data") else f" --data {root}"
    given = files[0].name if len(files) == 1 else "FOLDER"
    lines = ["Without internet here, fetch elsewhere and copy:"]
    lines += [f"  {file.name} from {file.urls[0]}" for file in files]
    lines += ["then: " + f"python -m suite.data prepare {dataset.name}{where} --from {given}"]
    return "\n".join(lines)


def instead() -> str:
    """What a search can do without these data."""
    return (
        "Or search on your own data, `data: {dataset: {path: my.csv}, ...}`, or on the bundled ones: "
        f"python -m suite.search --space {QUICKSTART}"
    )
