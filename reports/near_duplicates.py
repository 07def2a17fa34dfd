"""Errors without the crystals that training has seen, or nearly: as the search found them."""

from typing import Any

import pandas as pd

from reports.load import Results
from reports.run_folder import RunFolder

SPLITS = {"val": "validation", "test": "test"}


def found_in(folder: RunFolder, target: str, split: str) -> dict[str, Any] | None:
    """What the search recorded of a split: near, same_cell (counts), near_ids; None where it did not look."""
    recorded = folder.search["dataset"].get("duplicates") or {}
    return (recorded.get(target) or {}).get(split)


def deduplicated_mae(results: Results, runs: pd.DataFrame) -> float:
    """Mean over the seeds of the MAE over crystals without a near-duplicate in training, in its unit.

    `runs`: rows of `Results.runs` of one candidate and split. NaN where the search did not look for
    duplicates, or no crystal is left.
    """
    first = runs.iloc[0]
    found = found_in(results.folders[first["experiment"]], first["target"], first["split"])
    if found is None:
        return float("nan")
    if not found["near_ids"]:
        return float(runs["mae"].mean())
    table = results.predictions
    mine = table[
        (table["experiment"] == first["experiment"])
        & table["run_id"].isin(runs["run_id"])
        & (table["split"] == first["split"])
        & ~table["id"].isin(found["near_ids"])
    ]
    return float((mine["y_true"] - mine["y_pred"]).abs().groupby(mine["run_id"]).mean().mean())


def duplicate_notes(results: Results, dataset: str, target: str) -> list[str]:
    """How many there are, and by which rule; a sentence per table, since all its searches share a split."""
    for folder in results.folders.values():
        record = folder.search["dataset"]
        found = found_in(folder, target, "test")
        if record["name"] == dataset and target in folder.targets and found is not None:
            rule, total = record["duplicates"][target]["rule"], int(record["split"][target]["test"])
            if not found["near"]:
                return [f"Near-duplicates: none of the {total:,} test crystals has one in training ({rule})."]
            return [
                f"Near-duplicates: {found['near']:,} of the {total:,} test crystals have one in training "
                f"({rule}), {found['same_cell']:,} of them one with the same cell parameters. Deduplicated "
                "errors are over the others."
            ]
    return []
