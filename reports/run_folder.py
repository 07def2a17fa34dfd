"""One run folder, read and checked: every error in it is recomputed from the stored predictions before it
is believed.

    search.json  space.yaml  trials.parquet  final/<run_id>/{run.json, curve.csv, predictions.parquet}

A final run that is not complete is listed with its reason, never skipped in silence; a complete one whose
files disagree with each other stops the report.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crystalformer.metrics import mae, r2, rmse

# run.json and predictions.parquet are written from the same float64 arrays; more than rounding in a sum
# is a contradiction.
TOLERANCE = 1e-9

SEARCH_KEYS = ("name", "status", "dataset", "models", "final")
DATASET_KEYS = ("name", "label", "digest", "targets", "split", "target_stats")
RUN_KEYS = (
    "run_id", "model", "label", "dataset", "dataset_digest", "split_hash", "target", "unit", "seed",
    "selected_from",
    "rank", "parameters", "metrics", "train_s_per_epoch", "predict_ms_per_crystal",
)  # fmt: skip
TRIAL_COLUMNS = (
    "trial_id", "number", "target", "model", "recipe", "state", "val_mae", "epochs", "seconds",
    "parameters", "ended",
)  # fmt: skip
PREDICTION_COLUMNS = ("id", "split", "y_true", "y_pred")


class ReportError(ValueError):
    """The input of a report is missing, unreadable or contradicts itself; the message says where and how."""


@dataclass(frozen=True)
class FinalRun:
    """One configuration retrained with one seed.

    `predictions`: columns id, split (val or test), y_true, y_pred, in the target's unit. `absent`: split ->
    number of crystals that the model cannot represent, which have no row. `curve`: one row per epoch.
    `metrics`: {split: {mae, rmse, r2}} recomputed from `predictions`.
    """

    record: dict[str, Any]
    predictions: pd.DataFrame
    absent: dict[str, int]
    curve: pd.DataFrame
    metrics: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Unfinished:
    """A folder under final/ that holds no complete run."""

    run_id: str
    reason: str


@dataclass(frozen=True)
class RunFolder:
    """Everything a report takes from one run folder; `path` is as the caller gave it."""

    path: Path
    search: dict[str, Any]
    space: str
    trials: pd.DataFrame
    finals: tuple[FinalRun, ...]
    unfinished: tuple[Unfinished, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that were searched (the data set may have more)."""
        return tuple(self.search["dataset"]["split"])

    @property
    def floors(self) -> dict[str, Any]:
        """Key -> label, paper and seeds of the floors that stand beside the models."""
        return dict(self.search.get("floors") or {})

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that each chosen configuration is retrained with; none where no final stage was asked
        for.
        """
        return tuple((self.search["final"] or {}).get("seeds") or ())


def read_run_folder(path: Path, believe: bool = True) -> RunFolder:
    """Reads and checks one run folder. Raises ReportError naming the file, what was expected and what is
    there.

    Without `believe`, a final run whose record states other errors than its predictions give is read all
    the same, for a reader that compares them itself.
    """
    if not path.is_dir():
        raise ReportError(f"{path}: no such folder; expected a run folder such as runs/quickstart")
    if not (path / "search.json").is_file():
        raise ReportError(
            f"{path}: not a run folder (it has no search.json); expected a folder written by suite.search"
        )
    search = _read_json(path / "search.json", SEARCH_KEYS)
    _require(search["dataset"], DATASET_KEYS, f"{path / 'search.json'}: dataset")
    space = path / "space.yaml"
    finals, unfinished = _read_finals(path / "final", believe)
    return RunFolder(
        path=path,
        search=search,
        space=space.read_text(encoding="utf-8") if space.is_file() else "",
        trials=_read_trials(path, finished=search["status"] == "finished"),
        finals=finals,
        unfinished=unfinished,
    )


def _require(record: Any, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(record, dict):
        raise ReportError(f"{where}: expected an object, got {type(record).__name__}")
    if missing := [key for key in keys if key not in record]:
        raise ReportError(f"{where}: missing {', '.join(missing)}")


def _read_json(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: unreadable: {error}") from error
    _require(record, keys, str(path))
    return dict(record)


def _read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:  # pyarrow's and pandas' parsing errors are ValueErrors
        raise ReportError(f"{path}: unreadable: {' '.join(str(error).split())}") from error
    if missing := [name for name in columns if name not in table.columns]:
        raise ReportError(f"{path}: expected the columns {', '.join(columns)}; missing {', '.join(missing)}")
    return table


def _read_trials(folder: Path, finished: bool) -> pd.DataFrame:
    path = folder / "trials.parquet"
    if not path.is_file() and not finished:  # interrupted before the first trial was written
        return pd.DataFrame(columns=list(TRIAL_COLUMNS))
    trials = _read_table(path, TRIAL_COLUMNS).sort_values("number", kind="stable", ignore_index=True)
    _check_names(path, trials)
    return trials.astype(
        {"val_mae": "float64", "seconds": "float64"}
    )  # None where all trials are still running


def _check_names(path: Path, trials: pd.DataFrame) -> None:
    """What becomes part of a path must be no path itself."""
    for column in {"trial_id", "imported_from"} & set(trials.columns):
        for name in trials[column].dropna():
            if not re.fullmatch(r"\w[\w.+-]*", str(name), flags=re.ASCII):
                raise ReportError(f"{path}: {column}: expected a name without a path, got {str(name)[:80]!r}")


def _read_finals(folder: Path, believe: bool) -> tuple[tuple[FinalRun, ...], tuple[Unfinished, ...]]:
    finals: list[FinalRun] = []
    unfinished: list[Unfinished] = []
    runs = sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    for run in runs:
        if run.name.startswith("."):  # a writer's temporary folder
            continue
        if not (run / "run.json").is_file():
            unfinished.append(Unfinished(run.name, "no run.json: interrupted before it ended"))
            continue
        status = _read_json(run / "run.json", ("status",))["status"]
        if status != "complete":
            unfinished.append(Unfinished(run.name, f"status {status!r}"))
            continue
        finals.append(_read_final(run, believe))
    return tuple(finals), tuple(unfinished)


def _read_final(folder: Path, believe: bool) -> FinalRun:
    record = _read_json(folder / "run.json", RUN_KEYS)
    if record["run_id"] != folder.name:
        raise ReportError(
            f"{folder / 'run.json'}: run_id: expected {folder.name!r}, got {record['run_id']!r}"
        )
    stored = _read_table(folder / "predictions.parquet", PREDICTION_COLUMNS)
    _check_predictions(stored, record["run_id"], set(record.get("unrepresented") or ()))
    predictions = stored[stored["y_pred"].notna()].reset_index(drop=True)
    absent = {split: int((stored["split"] == split).sum()) for split in ("val", "test")}
    metrics = {}
    for split, rows in predictions.groupby("split"):
        truth, predicted = rows["y_true"].to_numpy(np.float64), rows["y_pred"].to_numpy(np.float64)
        metrics[str(split)] = {
            "mae": float(mae(truth, predicted)),
            "rmse": float(rmse(truth, predicted)),
            "r2": float(r2(truth, predicted)),
        }
        absent[str(split)] -= len(rows)
    if believe:
        _check_metrics(record, metrics)
    curve = _read_table(folder / "curve.csv", ("epoch", "val_mae"))
    return FinalRun(record, predictions, absent, curve, metrics)


def _check_predictions(predictions: pd.DataFrame, run_id: str, unrepresented: set[str]) -> None:
    strange = sorted(set(predictions["split"]) - {"val", "test"})
    if strange:
        raise ReportError(
            f"final run {run_id}: predictions.parquet: split: expected val or test, got {', '.join(strange)}"
        )
    if "val" not in set(predictions["split"]):
        raise ReportError(f"final run {run_id}: predictions.parquet holds no validation predictions")
    if predictions["id"].duplicated().any():
        twice = predictions["id"][predictions["id"].duplicated()].iloc[0]
        raise ReportError(f"final run {run_id}: predictions.parquet holds crystal {twice!r} more than once")
    values = predictions[["y_true", "y_pred"]].to_numpy(np.float64, copy=True)
    excused = predictions["id"].isin(unrepresented).to_numpy()
    if np.isfinite(values[excused, 1]).any():
        first = predictions["id"][excused & np.isfinite(values[:, 1])].iloc[0]
        raise ReportError(
            f"final run {run_id}: predictions.parquet has a prediction of crystal {first!r}, "
            "which run.json lists as unrepresented"
        )
    values[excused, 1] = 0.0
    if not np.isfinite(values).all():
        bad = predictions["id"][~np.isfinite(values).all(axis=1)]
        raise ReportError(
            f"final run {run_id}: predictions.parquet: expected finite values, "
            f"got {len(bad)} that are not (the first is crystal {bad.iloc[0]!r})"
        )


def _check_metrics(record: dict[str, Any], recomputed: dict[str, dict[str, float]]) -> None:
    for split in ("val", "test"):
        stated_split, predicted_split = split in record["metrics"], split in recomputed
        if stated_split != predicted_split:
            raise ReportError(
                f"final run {record['run_id']}: run.json {'has' if stated_split else 'lacks'} {split} "
                f"errors, predictions.parquet {'has' if predicted_split else 'lacks'} {split} predictions"
            )
        if split not in recomputed:
            continue
        stated, found = record["metrics"][split]["mae"], recomputed[split]["mae"]
        if not abs(stated - found) <= TOLERANCE * max(1.0, abs(found)):
            raise ReportError(
                f"final run {record['run_id']}: {split} MAE: run.json says {stated!r}, "
                f"its predictions.parquet gives {found!r}; one of the files was changed"
            )
