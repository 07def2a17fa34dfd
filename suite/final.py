"""The final stage: configurations retrained over seeds, and the one place where the test split is read.

Search and selection see training and validation crystals only. A final run trains like a trial, then
predicts validation and test once with the weights that are kept, and becomes visible as `final/<run_id>/`
when all of its files are there.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from pyarrow import parquet
from safetensors.torch import save_file
from torch import nn

from crystalformer import metrics
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.manifest import file_sha256
from crystalformer.data.splits import Split, load_split
from crystalformer.data.training_range import TrainingRange
from crystalformer.durable import folder_to_disk
from suite.costs import device_name, peak_memory_mb, reset_peak_memory, timed, timed_predictions
from suite.file_names import in_file_names
from suite.provenance import provenance
from suite.records import read_json, write_json
from suite.team import ALONE, Place
from suite.test_reads import keep_earlier_reads, log_test_read
from suite.trial import TrialRun, read_curve
from suite.trial_task import TrialTask


@dataclass(frozen=True)
class FinalJob:
    """A final run to do: its task (folder: `final/.<run_id>`) and what its record says besides."""

    task: TrialTask
    label: str
    paper: str
    dataset: str
    selected_from: dict  # trial_id, val_mae
    rank: int  # 1: the best configuration of its model

    files: ClassVar[tuple[str, ...]] = ("curve.csv", "model.safetensors")  # beside record and predictions
    done: ClassVar[str] = "retrained and evaluated"

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
        others = all((self.folder / name).is_file() for name in self.files)
        whole = isinstance(record, dict) and record.get("status") == "complete" and rows > 0
        return whole and others and record.get("run_id") == self.task.run_id


def run_id(model: str, dataset: str, target: str, seed: int, config: dict) -> str:
    """A readable, reproducible name: `<model>-<dataset>-<target>-s<seed>-<hash of the configuration>`."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    return f"{model}-{dataset}-{in_file_names(target)}-s{seed}-{digest}"


def run_final(job: FinalJob, place: Place = ALONE) -> None:
    """Train the job's configuration, evaluate it on validation and test, and write `final/<run_id>/`."""
    reset_peak_memory(place.device_of(0))
    run = TrialRun(job.task, place)
    try:
        while not run.trainer.finished:
            run.step()
    except BaseException:
        run.close()
        raise
    folder = Path(job.task.folder)
    with run.working():
        record, evaluation = _evaluated(job, run, folder)
    run.close()
    job.task.checkpoint.unlink(missing_ok=True)
    (folder / ".lock").unlink(missing_ok=True)
    publish(job, evaluation, record)


def _evaluated(job: FinalJob, run: TrialRun, folder: Path) -> tuple[dict, "Evaluation"]:
    """Evaluate a trained run, and write its weights; its record and its predictions."""
    averaged = run.trainer.average is not None
    evaluation = evaluate(
        run.setup.store,
        job.task,
        kept=_predictor(run, run.trainer.kept_model),
        raw=_predictor(run, run.trainer.model) if averaged else None,
        failures=run.setup.failures,
    )
    weights = {name: tensor.contiguous() for name, tensor in run.trainer.kept_model.state_dict().items()}
    save_file(
        weights, folder / "model.safetensors", metadata={"config": json.dumps(job.task.resolved_config())}
    )
    return _record(job, run, evaluation), evaluation


def publish(job: FinalJob, evaluation: "Evaluation", record: dict) -> None:
    """Put predictions and record beside the run's other files, and the whole folder in its place."""
    folder = Path(job.task.folder)
    predictions = folder / "predictions.parquet"
    evaluation.predictions.to_parquet(predictions, index=False)
    write_json(folder / "run.json", record | {"predictions_sha256": file_sha256(predictions)})
    keep_earlier_reads(job.folder, folder)
    folder_to_disk(folder)
    shutil.rmtree(job.folder, ignore_errors=True)
    os.replace(folder, job.folder)


Predictor = Callable[[np.ndarray], np.ndarray]  # store rows -> predictions in the target's unit


@dataclass(frozen=True)
class Evaluation:
    """What the predictions of validation and test come to.

    Attributes:
        predictions: id, split, y_true, y_pred of the kept weights; NaN where there is no prediction.
        metrics: val, test and, where weights were averaged, val_raw, test_raw: over what was predicted.
        missing: train, val, test -> number of crystals that the model cannot represent.
        unrepresented: the ids of those crystals -> why.
        seconds: of predicting with the kept weights.
        read_at: when the test split was opened.
    """

    predictions: pd.DataFrame
    metrics: dict[str, dict[str, float | None]]
    missing: dict[str, int]
    unrepresented: dict[str, str]
    seconds: float
    read_at: str

    @property
    def predict_ms_per_crystal(self) -> float:
        """Time of a prediction in ms, the mean over the crystals."""
        return 1000 * self.seconds / int(self.predictions["y_pred"].notna().sum())


def evaluate(
    store: ArrayStore,
    task: TrialTask,
    kept: Predictor,
    raw: Predictor | None = None,
    failures: Mapping[int, str] | None = None,
) -> Evaluation:
    """Predict validation and test; the test split is opened here and nowhere else.

    Args:
        store: the crystals.
        task: says which split and target.
        kept: predicts with what the run keeps.
        raw: predicts with the last step's weights, where those kept are an average.
        failures: store row -> why there is no prediction of it.
    """
    read_at = log_test_read(Path(task.folder), task.split)
    split = load_split(store, task.split)
    values, failures = np.asarray(store.targets[task.target]), failures or {}
    frames, results, seconds = [], {}, 0.0
    for part, ids in (("val", split.val), ("test", split.test)):
        rows = store.rows(ids)
        known = np.array([int(row) not in failures for row in rows])
        y_pred, taken = timed(partial(_predicted, kept, rows, known))
        seconds += taken
        frames.append(pd.DataFrame({"id": ids, "split": part, "y_true": values[rows], "y_pred": y_pred}))
        if known.any():
            results[part] = _metrics(values[rows][known], y_pred[known])
            if raw is not None:
                results[f"{part}_raw"] = _metrics(values[rows][known], raw(rows[known]))
    absent = _absent(store, split, failures)
    return Evaluation(
        predictions=pd.concat(frames, ignore_index=True),
        metrics=results,
        missing={part: len(reasons) for part, reasons in absent.items()},
        unrepresented={id_: reason for reasons in absent.values() for id_, reason in reasons.items()},
        seconds=seconds,
        read_at=read_at,
    )


def _predicted(predictor: Predictor, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    y_pred = np.full(len(rows), np.nan)
    if known.any():
        y_pred[known] = predictor(rows[known])
    return y_pred


def _absent(store: ArrayStore, split: Split, failures: Mapping[int, str]) -> dict[str, dict[str, str]]:
    """Per part of the split: id -> reason of the crystals without a prediction."""
    reasons = {store.ids[row]: reason for row, reason in failures.items()}
    parts = {"train": split.train, "val": split.val, "test": split.test}
    return {part: {id_: reasons[id_] for id_ in ids if id_ in reasons} for part, ids in parts.items()}


def _predictor(run: TrialRun, model: nn.Module) -> Predictor:
    """Predicts with the model, in batches of bounded memory."""

    def predicted(rows: np.ndarray) -> np.ndarray:
        order, values, _ = timed_predictions(run.trainer, model, rows)
        of_row = dict(zip(order.tolist(), values[:, 0], strict=True))
        return np.array([of_row[row] for row in rows.tolist()])

    return predicted


def _metrics(y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, float | None]:
    r2 = metrics.r2(y_true, y_pred)
    return {
        "mae": metrics.mae(y_true, y_pred),
        "rmse": metrics.rmse(y_true, y_pred),
        "r2": None if np.isnan(r2) else r2,  # where the true values are all the same
    }


def shared_record(job: FinalJob, store: ArrayStore, evaluation: Evaluation) -> dict:
    """What `run.json` says of any final run: what it was, and how good it is."""
    task = job.task
    return {
        "run_id": task.run_id,
        "status": "complete",
        "model": task.model,
        "label": job.label,
        "paper": job.paper,
        "recipe": task.recipe,
        "dataset": job.dataset,
        "dataset_digest": store.digest,
        "split_hash": task.split,
        "target": task.target,
        "unit": task.unit,
        "seed": task.seed,
        "config": task.resolved_config(),
        "selected_from": job.selected_from,
        "rank": job.rank,
        "metrics": evaluation.metrics,
        "missing": evaluation.missing,
        "unrepresented": evaluation.unrepresented,
        "predict_ms_per_crystal": evaluation.predict_ms_per_crystal,
        "test_read_at": evaluation.read_at,
        "provenance": provenance(),
    }


def _record(job: FinalJob, run: TrialRun, evaluation: Evaluation) -> dict:
    curve = read_curve(job.task.curve)
    return shared_record(job, run.setup.store, evaluation) | {
        **job.task.facts(),
        "parameters": run.setup.parameters,
        "kept": "raw" if run.trainer.average is None else "averaged",
        "epochs": run.trainer.epoch,
        "train_s_per_epoch": float(np.mean([float(row["seconds"]) for row in curve])),
        "peak_memory_mb": peak_memory_mb(run.trainer.device),
        "device": device_name(run.trainer.device),
        "seconds": run.seconds,
        "threads": torch.get_num_threads(),
        "training": training_facts(run),
    }


def training_facts(run: TrialRun) -> dict:
    """What predicting needs beside the weights: the scaler, and what the training crystals were like."""
    crystals = map(run.setup.store.crystal, run.setup.data.train.tolist())
    return {
        "cell": run.setup.store.cell,
        "scaler": run.setup.data.scaler.to_dict(),
        "range": TrainingRange.of(crystals).to_dict(),
    }
