"""`mae_table.csv` once more: every column of every measured row and floor."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

from reports.check import Check
from reports.near_duplicates import found_in
from reports.recompute.statistics import bootstrap, p_of_zero, step_down
from reports.recompute.stored import Row, Stored, cells, of_split, over_seeds
from reports.run_folder import FinalRun, RunFolder

KINDS = ("measured", "floor")


def check_mae_table(stored: Stored, table: pd.DataFrame) -> list[Check]:
    """The checks of all rows that were measured here."""
    rows = table[table["kind"].isin(KINDS)].to_dict("records")
    return [check for row in rows for check in check_row(stored, row, rows)]


def check_row(stored: Stored, row: Row, rows: Sequence[Row]) -> list[Check]:
    """The checks of one row; `rows` are all that were measured, since intervals and tests know the others."""
    finals = stored.finals(str(row["experiment"]), str(row["run_ids"]).split())
    folder = stored.folders[str(row["experiment"])]
    split = str(row["split"])
    tables = [of_split(final, split) for final in finals]
    errors = [float(table["error"].mean()) for table in tables]
    truth = tables[0]["y_true"].to_numpy()
    same_task = [
        other for other in rows if all(other[key] == row[key] for key in ("dataset", "target", "split"))
    ]
    low, high = bootstrap(_over_all_crystals(stored, row, same_task))
    found = {
        "mae": float(np.mean(errors)),
        "sd": float(np.std(errors, ddof=1)) if len(errors) > 1 else None,
        "n_seeds": len(finals),
        "params": finals[0].record["parameters"],
        "unit": finals[0].record["unit"],
        "rmse": float(np.mean([np.sqrt((table["residual"] ** 2).mean()) for table in tables])),
        "r2": float(np.mean([_r2(table) for table in tables])),
        "mad": float(np.abs(truth - truth.mean()).mean()),
        "mae_low": low,
        "mae_high": high,
        "mae_deduplicated": _deduplicated(folder, finals, tables, split),
        "crystals": len(tables[0]),
        "absent": finals[0].absent[split],
        "p_holm": _p(stored, row, same_task),
    }
    where = f"mae_table.csv: {row['model']}, {row['target']}, {split}"
    return cells(where, row, found | _costs(folder, finals))


def _costs(folder: RunFolder, finals: list[FinalRun]) -> dict[str, object]:
    """Means over the seeds; the time of an epoch from the curves, that of the search from the trials."""
    first = finals[0].record
    epochs = [final.curve["seconds"].mean() for final in finals if len(final.curve)]
    trials = folder.trials[
        (folder.trials["model"] == first["model"]) & (folder.trials["target"] == first["target"])
    ]
    runs = [
        final.record.get("seconds")
        for final in folder.finals
        if all(final.record[key] == first[key] for key in ("model", "target"))
    ]
    memory = [final.record.get("peak_memory_mb") for final in finals]
    return {
        "train_s_per_epoch": float(np.mean(epochs)) if epochs else None,
        "predict_ms_per_crystal": float(np.mean([f.record["predict_ms_per_crystal"] for f in finals])),
        "peak_memory_mb": float(np.mean([np.nan if each is None else each for each in memory])),
        "trials": None if first.get("floor") else len(trials),
        "epochs": None if first.get("floor") else len(finals[0].curve),
        "search_hours": (float(np.nansum(trials["seconds"])) + sum(each or 0.0 for each in runs)) / 3600,
    }


def _r2(table: pd.DataFrame) -> float:
    centred = table["y_true"] - table["y_true"].mean()
    return float(1 - (table["residual"] ** 2).sum() / (centred**2).sum())


def _deduplicated(
    folder: RunFolder, finals: list[FinalRun], tables: list[pd.DataFrame], split: str
) -> float | None:
    known = found_in(folder, finals[0].record["target"], split)
    if known is None:
        return None
    return float(
        np.mean([table.drop(known["near_ids"], errors="ignore")["error"].mean() for table in tables])
    )


def _over_all_crystals(stored: Stored, row: Row, same_task: Sequence[Row]) -> np.ndarray:
    """Errors of a row over the crystals that any row of the task predicted, in the order of their ids."""
    ids = sorted({id_ for other in same_task for id_ in _per_crystal(stored, other).index})
    return _per_crystal(stored, row).reindex(ids).to_numpy(np.float64)


def _p(stored: Stored, row: Row, same_task: Sequence[Row]) -> float | None:
    """Of a model against the best one, corrected over all models; None of the best and of floors."""
    models = [other for other in same_task if other["kind"] == "measured"]
    if row["kind"] != "measured" or len(models) < 2:
        return None
    errors = [_per_crystal(stored, other) for other in models]
    best = int(np.argmin([each.mean() for each in errors]))
    others = [i for i in range(len(models)) if i != best]
    p_values = [p_of_zero((errors[i] - errors[best]).dropna().to_numpy()) for i in others]
    if any(value != value for value in p_values):
        return None
    corrected = dict(zip(others, step_down(p_values), strict=True))
    return corrected.get(models.index(row))


def _per_crystal(stored: Stored, row: Row) -> pd.Series:
    return _errors(stored, str(row["experiment"]), str(row["run_ids"]), str(row["split"]))


@cache
def _errors(stored: Stored, experiment: str, run_ids: str, split: str) -> pd.Series:
    return over_seeds(stored.finals(experiment, run_ids.split()), split)["error"]
