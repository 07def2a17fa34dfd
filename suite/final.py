"""The final stage: configurations retrained over seeds, and the one place where the test split is read.

Search and selection see training and validation crystals only. A final run trains like a trial, then
predicts validation and test once with the weights that are kept, and becomes visible as `final/<run_id>/`
when all of its files are there.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from pyarrow import parquet
from safetensors.torch import save_file
from torch import nn

from crystalformer import metrics
from crystalformer.data.splits import load_split
from suite.costs import peak_memory_mb, reset_peak_memory, timed_predictions
from suite.progress import Watcher
from suite.provenance import provenance
from suite.records import read_json, write_json
from suite.trial import TrialRun, TrialTask, read_curve


@dataclass(frozen=True)
class FinalJob:
    """A final run to do: its task (folder: `final/.<run_id>`) and what its record says besides."""

    task: TrialTask
    label: str
    paper: str
    dataset: str
    selected_from: dict  # trial_id, val_mae
    rank: int  # 1: the best configuration of its model

    @property
    def folder(self) -> Path:
        """Where the finished run lies."""
        return Path(self.task.folder).parent / self.task.run_id

    @property
    def finished(self) -> bool:
        """Whether the run is there, whole; a damaged one is run again."""
        try:
            record = read_json(self.folder / "run.json")
            rows = parquet.read_metadata(self.folder / "predictions.parquet").num_rows
        except (OSError, ValueError, pa.ArrowException):
            return False
        others = all((self.folder / name).is_file() for name in ("curve.csv", "model.safetensors"))
        whole = isinstance(record, dict) and record.get("status") == "complete" and rows > 0
        return whole and others and record.get("run_id") == self.task.run_id


def run_id(model: str, dataset: str, target: str, seed: int, config: dict) -> str:
    """A readable, reproducible name: `<model>-<dataset>-<target>-s<seed>-<hash of the configuration>`."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    return f"{model}-{dataset}-{target}-s{seed}-{digest}"


def run_final(job: FinalJob, device: str = "cpu") -> None:
    """Train the job's configuration, evaluate it on validation and test, and write `final/<run_id>/`."""
    reset_peak_memory(device)
    run = TrialRun(job.task, device)
    while not run.trainer.finished:
        run.step()
    folder = Path(job.task.folder)
    evaluation = _evaluate(run)
    evaluation.predictions.to_parquet(folder / "predictions.parquet", index=False)
    weights = {name: tensor.contiguous() for name, tensor in run.trainer.kept_model.state_dict().items()}
    save_file(
        weights, folder / "model.safetensors", metadata={"config": json.dumps(job.task.resolved_config())}
    )
    write_json(folder / "run.json", _record(job, run, evaluation))
    run.close()
    job.task.checkpoint.unlink(missing_ok=True)
    (folder / ".lock").unlink(missing_ok=True)
    shutil.rmtree(job.folder, ignore_errors=True)
    os.replace(folder, job.folder)


@dataclass(frozen=True)
class _Evaluation:
    predictions: pd.DataFrame  # id, split, y_true, y_pred of the kept weights
    metrics: dict[
        str, dict[str, float | None]
    ]  # val, test and, where weights were averaged, val_raw, test_raw
    seconds: float  # of predicting with the kept weights
    read_at: str


def _evaluate(run: TrialRun) -> _Evaluation:
    """Predict validation and test; the test split is opened here and nowhere else."""
    split = load_split(run.store, run.task.split)
    read_at = datetime.now(UTC).isoformat()
    frames, results, seconds = [], {}, 0.0
    for part, ids in (("val", split.val), ("test", split.test)):
        rows = run.store.rows(ids)
        frame, taken = _predictions(run, run.trainer.kept_model, rows)
        seconds += taken
        results[part] = _metrics(frame)
        frames.append(frame.assign(split=part))
        if run.trainer.average is not None:
            results[f"{part}_raw"] = _metrics(_predictions(run, run.trainer.model, rows)[0])
    columns = ["id", "split", "y_true", "y_pred"]
    return _Evaluation(pd.concat(frames, ignore_index=True)[columns], results, seconds, read_at)


def _predictions(run: TrialRun, model: nn.Module, rows: np.ndarray) -> tuple[pd.DataFrame, float]:
    """Predictions beside the true values, and the seconds of predicting."""
    order, predicted, seconds = timed_predictions(run.trainer, model, rows)
    ids = [run.store.ids[row] for row in order]
    values = {"id": ids, "y_true": run.data.values[order], "y_pred": predicted[:, 0]}
    return pd.DataFrame(values), seconds


def _metrics(frame: pd.DataFrame) -> dict[str, float | None]:
    y_true, y_pred = frame["y_true"].to_numpy(), frame["y_pred"].to_numpy()
    r2 = metrics.r2(y_true, y_pred)
    return {
        "mae": metrics.mae(y_true, y_pred),
        "rmse": metrics.rmse(y_true, y_pred),
        "r2": None if np.isnan(r2) else r2,  # where the true values are all the same
    }


def _record(job: FinalJob, run: TrialRun, evaluation: _Evaluation) -> dict:
    task, curve = job.task, read_curve(job.task.curve)
    return {
        "run_id": task.run_id,
        "status": "complete",
        "model": task.model,
        "label": job.label,
        "paper": job.paper,
        "recipe": task.recipe,
        "dataset": job.dataset,
        "dataset_digest": run.store.digest,
        "split_hash": task.split,
        "target": task.target,
        "unit": task.unit,
        "seed": task.seed,
        "config": task.resolved_config(),
        **task.facts(),
        "selected_from": job.selected_from,
        "rank": job.rank,
        "parameters": run.parameters,
        "kept": "raw" if run.trainer.average is None else "averaged",
        "epochs": run.trainer.epoch,
        "metrics": evaluation.metrics,
        "train_s_per_epoch": float(np.mean([float(row["seconds"]) for row in curve])),
        "predict_ms_per_crystal": 1000 * evaluation.seconds / len(evaluation.predictions),
        "peak_memory_mb": peak_memory_mb(run.trainer.device),
        "seconds": run.seconds,
        "threads": torch.get_num_threads(),
        "test_read_at": evaluation.read_at,
        "provenance": provenance(),
    }


class CurveFollower:
    """Tells a watcher of the epochs of final runs, read from the curves they write."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._seen: dict[str, int] = {}

    def look(self, job: FinalJob) -> None:
        """Report the epochs that are new since the last look."""
        folder = job.folder if job.finished else Path(job.task.folder)
        for row in read_curve(folder / "curve.csv")[self._seen.get(job.task.run_id, 0) :]:
            if not all(row.values()):
                return  # the last row is being written
            epoch = int(row["epoch"])
            self._seen[job.task.run_id] = epoch
            self._watcher.epoch(job.task.run_id, epoch, float(row["val_mae"]), float(row["crystals_per_s"]))

    def ended(self, job: FinalJob, failure: str | None) -> None:
        """Report the end of a run with its validation error; the test error is the report's to show."""
        if failure is not None:
            self._watcher.ended(job.task.run_id, "failed", failure, None)
            return
        value = read_json(job.folder / "run.json")["metrics"]["val"]["mae"]
        self._watcher.ended(job.task.run_id, "complete", "retrained and evaluated", value)
