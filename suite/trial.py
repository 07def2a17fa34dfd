"""One training run, of the search or of the final stage: arrays -> batches -> model -> loop -> records.

Runs anywhere, knows nothing of Ray or Optuna and never opens the test split. What it leaves behind is a
folder with `curve.csv` (a row per epoch) and, while it isn't finished, `checkpoint.safetensors`; the same
task started again goes on from there.
"""

import csv
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatches
from crystalformer.data.splits import load_split
from crystalformer.data.targets import TargetScaler
from crystalformer.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from crystalformer.training.config import TrainConfig
from crystalformer.training.loop import EpochRecord, Trainer, TrainingData
from suite.models import MODELS, parameter_count
from suite.tensorboard_log import TrialLog

# A checkpoint is written when the time since the last one is this many times what writing it took.
_CHECKPOINT_COST = 20
_LOCK_TIMEOUT_S = 120.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialTask:
    """Everything a training run needs, as plain JSON values; folders are absolute paths."""

    run_id: str
    model: str
    model_config: dict
    train_config: dict
    recipe: str | None  # None: a floor, which is not trained
    seed: int
    target: str
    unit: str | None
    store: str
    split: str  # hash of the stored split
    folder: str  # curve and checkpoint
    cache: str  # graphs that trials share
    tensorboard: str  # event files of this run
    hparams: dict

    @property
    def checkpoint(self) -> Path:
        """Where the unfinished run's state lies."""
        return Path(self.folder) / "checkpoint.safetensors"

    @property
    def curve(self) -> Path:
        """Where the run's learning curve lies."""
        return Path(self.folder) / "curve.csv"

    def resolved_config(self) -> dict:
        """The resolved configuration, as recorded with results."""
        return {"model": self.model_config, "train": self.train_config}

    def facts(self) -> dict[str, float | None]:
        """What a record says of the configuration beside it, see `ModelEntry.facts`."""
        entry = MODELS[self.model]
        return entry.facts(entry.config(**self.model_config))

    def settings(self) -> dict:
        """What a checkpoint must share with the task that continues it."""
        names = ("model", "model_config", "train_config", "seed", "target", "split")
        return {name: getattr(self, name) for name in names}


class NothingToTrainOn(ValueError):
    """The model can represent no crystal of the training or of the validation split."""


class TrialRun:
    """A task in progress: each `step()` trains one epoch and returns its record.

    Crystals that the model cannot represent take no part, and are counted: `failures` has the reason of each
    such row of the store, `missing` how many of training and validation there are.

    After a restart the first step gives the record of the checkpoint's epoch once more, without training,
    since whoever decides about the run may not have seen it.
    """

    def __init__(self, task: TrialTask, device: str = "cpu") -> None:
        self.task = task
        # A worker of a killed session may live for some seconds more; two must not write one folder.
        Path(task.folder).mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(Path(task.folder) / ".lock")
        self._lock.acquire(timeout=_LOCK_TIMEOUT_S)
        try:
            self._begin(device)
        except BaseException:
            self._lock.release()
            raise

    def _begin(self, device: str) -> None:
        task, entry = self.task, MODELS[self.task.model]
        self.store = ArrayStore.open(Path(task.store), verify=False)
        model_config = entry.config(**task.model_config)
        self.data = self._training_data(
            lambda scaled: entry.batches(self.store, scaled, model_config, Path(task.cache))
        )
        torch.manual_seed(task.seed)
        model = entry.build(model_config)
        for name, value in task.facts().items():
            log.info("%s: %s %s", task.run_id, name, "none" if value is None else f"{value:.4g}")
        self.parameters = parameter_count(model)
        self.trainer = Trainer(model, self.data, TrainConfig(**task.train_config), task.seed, device)
        self._again: EpochRecord | None = None
        if not self._restore():
            first = self.data.make_batch(self.trainer.order.epoch(0)[0])
            entry.calibrate(self.trainer.model, first.to(device))
        _trim_curve(task.curve, self.trainer.epoch)
        curve = read_curve(task.curve)
        # Of training and validation, over all sessions.
        self.seconds = sum(float(row["seconds"]) + float(row["eval_seconds"]) for row in curve)
        self._eval_seconds = min((float(row["eval_seconds"]) for row in curve), default=math.inf)
        self._log = TrialLog(Path(task.tensorboard), task.run_id, task.hparams, self.trainer.epoch)
        self._written, self._write_seconds = time.monotonic(), 0.0

    def step(self) -> EpochRecord:
        """Train and record one epoch.

        Raises:
            Diverged: the training left the finite numbers.
        """
        if self._again is not None:
            record, self._again = self._again, None
            return record
        record = self.trainer.run_epoch()
        _append_curve(self.task.curve, record)
        self.seconds += record.seconds + record.eval_seconds
        self._eval_seconds = min(self._eval_seconds, record.eval_seconds)
        self._log.epoch(record, self.task.unit)
        self._save_if_due()
        return record

    @property
    def predict_ms_per_crystal(self) -> float:
        """Time of predicting the validation crystals in batches, of the fastest epoch so far."""
        return 1000 * self._eval_seconds / len(self.data.val)

    def close(self) -> None:
        """End the log and let go of the folder."""
        self._log.close()
        self._lock.release()

    def _save_if_due(self) -> None:
        started = time.monotonic()
        if started - self._written >= _CHECKPOINT_COST * self._write_seconds:
            save_checkpoint(self.task.checkpoint, self.trainer, self.task.settings())
            self._written = time.monotonic()
            self._write_seconds = self._written - started

    def _restore(self) -> bool:
        """Continue from the checkpoint, if there is a usable one; else the run starts anew."""
        if not self.task.checkpoint.exists():
            return False
        try:
            self._again = load_checkpoint(self.task.checkpoint, self.trainer, self.task.settings())
        except CheckpointError:
            self.task.checkpoint.unlink()
            return False
        return True

    def _training_data(self, batches: Callable[[np.ndarray], CrystalBatches]) -> TrainingData:
        split = load_split(self.store, self.task.split).without_test()
        train = self.store.rows(split.train)
        values = np.asarray(self.store.targets[self.task.target])
        # Of all training crystals: every model sees the same targets, whatever it can represent.
        scaler = TargetScaler.fit(values[train][:, None], self.task.unit)
        if not TrainConfig(**self.task.train_config).scale_targets:
            scaler = TargetScaler.identity(scaler.units)
        make_batch = batches(scaler.scale(values[:, None]))
        self.failures = make_batch.failures
        self.missing: dict[str, int] = {}
        return TrainingData(
            make_batch=make_batch,
            train=self._represented("train", train),
            val=self._represented("val", self.store.rows(split.val)),
            values=values,
            sizes=self.store.sizes,
            scaler=scaler,
        )

    def _represented(self, part: str, rows: np.ndarray) -> np.ndarray:
        """The rows of a split of which the model has a batch; the others are counted."""
        kept = rows[[int(row) not in self.failures for row in rows]]
        self.missing[part] = len(rows) - len(kept)
        if not len(kept):
            first = int(rows[0])
            raise NothingToTrainOn(
                f"{part} crystals: expected at least one that {self.task.model} can represent, got none of "
                f"{len(rows)}; crystal {self.store.ids[first]}: {self.failures[first]}"
            )
        return kept


def read_curve(path: Path) -> list[dict[str, str]]:
    """Rows of a learning curve; none where there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _append_curve(path: Path, record: EpochRecord) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(EpochRecord)])
        if new:
            writer.writeheader()
        writer.writerow(asdict(record))


def _trim_curve(path: Path, epochs: int) -> None:
    """Drop the rows of epochs that will be trained again, and a half-written last row."""
    if not path.exists():
        return
    names = [field.name for field in fields(EpochRecord)]
    kept = [row for row in read_curve(path) if all(row.values()) and int(row["epoch"]) <= epochs]
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(kept)
    partial.replace(path)
