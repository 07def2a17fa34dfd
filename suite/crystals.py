"""`crystals.parquet`: what a report says of the validation and test crystals beside their errors.

| column | meaning |
|---|---|
| `id` | as in `predictions.parquet` |
| `formula` | reduced |
| `elements` | symbols by atomic number, a space between them |
| `atoms` | in the cell of the data set |
| `space_group` | its number, 1 to 230; empty where none was found |

No labels: those are in the predictions of the final runs alone.
"""

from pathlib import Path

import pandas as pd

from crystalformer.sources.descriptions import NOT_FOUND, SYMMETRY_TOLERANCE, describe
from suite.prepare import PreparedData
from suite.records import replacing

CRYSTALS = "crystals.parquet"


def write_crystals(folder: Path, data: PreparedData) -> Path:
    """Write the table into a run folder, unless it has one of these crystals; returns its path."""
    path = folder / CRYSTALS
    wanted = {id_ for split in data.splits.values() for id_ in (*split.val, *split.test)}
    ids = [id_ for id_ in data.store.ids if id_ in wanted]
    if _ids(path) == ids:
        return path
    found = describe(data.store, data.store.rows(ids), data.store.path / "cache")
    frame = pd.DataFrame(
        {
            "id": ids,
            "formula": [each.formula for each in found],
            "elements": [" ".join(each.elements) for each in found],
            "atoms": [each.atoms for each in found],
            "space_group": [each.space_group if each.space_group != NOT_FOUND else None for each in found],
        }
    ).astype({"atoms": "Int32", "space_group": "Int16"})
    frame.attrs = {"symmetry_tolerance": SYMMETRY_TOLERANCE}
    with replacing(path) as partial:
        frame.to_parquet(partial, index=False)
    return path


def _ids(path: Path) -> list[str] | None:
    """The crystals of a table that is there and whole."""
    try:
        return list(pd.read_parquet(path, columns=["id"])["id"])
    except (OSError, ValueError, KeyError):
        return None
