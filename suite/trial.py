"""One training run, of the search or of the final stage: arrays -> batches -> model -> loop -> records.

Runs anywhere, knows nothing of Ray or Optuna and never opens the test split. What it leaves behind is a
folder with `curve.csv` (a row per epoch) and, while it isn't finished, `checkpoint.safetensors`; the same
task started again goes on from there.
"""

import csv
import math
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, fields
from itertools import takewhile
from pathlib import Path

from crystalformer.durable import to_disk
from crystalformer.training.checkpoint import save_checkpoint
from crystalformer.training.loop import EpochRecord, Trainer
from suite.run_folder import RunFolder
from suite.team import ALONE, Place, Team
from suite.tensorboard_log import TrialLog
from suite.training_setup import TrainingSetup
from suite.trial_task import TrialTask

# A checkpoint is written when the time since the last one is this many times what writing it took.
_CHECKPOINT_COST = 20


class TrialRun:
    """A task in progress: each `step()` trains one epoch and returns its record.

    Attributes:
        setup: the trainer and its data.
        seconds: of training and validation, over all sessions.

    After a restart the first step gives the record of the checkpoint's epoch once more, without training,
    since whoever decides about the run may not have seen it.
    """

    def __init__(self, task: TrialTask, place: Place = ALONE) -> None:
        self.task = task
        self._team: Team | None = None
        self._folder = RunFolder(Path(task.folder))
        try:
            if place.processes > 1:
                self._team = Team(task, place)
            ranks = None if self._team is None else self._team.ranks
            self.setup = TrainingSetup(task, place.device_of(0), ranks, place.passes)
            self._begin()
        except BaseException:
            self._leave()
            raise

    def _begin(self) -> None:
        task = self.task
        self._again = self.setup.again
        task.asked.unlink(missing_ok=True)  # by a session that is over
        _trim_curve(task.curve, self.trainer.epoch)
        curve = read_curve(task.curve)
        self.seconds = sum(float(row["seconds"]) + float(row["eval_seconds"]) for row in curve)
        self._eval_seconds = min((float(row["eval_seconds"]) for row in curve), default=math.inf)
        self._log = TrialLog(Path(task.tensorboard), task.run_id, task.hparams, self.trainer.epoch)
        self._written, self._write_seconds = time.monotonic(), 0.0

    @property
    def trainer(self) -> Trainer:
        """The loop, which has the weights."""
        return self.setup.trainer

    def step(self) -> EpochRecord:
        """Train and record one epoch.

        Raises:
            Diverged: the training left the finite numbers.
            LostRank: another process of the run is gone; it can be taken up again, as a new run.
            Superseded: a later process has taken up the run, since this one's session is over.
        """
        with self.working():
            return self._step()

    def working(self) -> AbstractContextManager[None]:
        """A context in which the run's folder is its own, see `RunFolder.working`."""
        return self._folder.working()

    def _step(self) -> EpochRecord:
        if self._again is not None:
            record, self._again = self._again, None
            return record
        record = self.trainer.run_epoch()
        self._folder.check_ours()
        _append_curve(self.task.curve, record)
        self.seconds += record.seconds + record.eval_seconds
        self._eval_seconds = min(self._eval_seconds, record.eval_seconds)
        self._log.epoch(record, self.task.unit)
        if self.task.histograms:
            self._log.histograms(self.trainer.model, record.epoch)
        if record.epoch == self.task.until:
            self._save(self.task.paused(record.epoch))
        else:
            self._save_if_due(asked=self.task.asked.exists())
        return record

    @property
    def predict_ms_per_crystal(self) -> float:
        """Time of predicting the validation crystals in batches, of the fastest epoch so far."""
        return 1000 * self._eval_seconds / len(self.setup.data.val)

    def close(self) -> None:
        """End the log and let go of the folder."""
        try:
            self.task.asked.unlink(missing_ok=True)
            self._log.close()
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._team is not None:
            self._team.close()
        self._folder.release()

    def _save_if_due(self, asked: bool) -> None:
        started = time.monotonic()
        if asked or started - self._written >= _CHECKPOINT_COST * self._write_seconds:
            self._save(self.task.checkpoint)
            self._written = time.monotonic()
            self._write_seconds = self._written - started
        if asked:
            self.task.asked.unlink(missing_ok=True)

    def _save(self, path: Path) -> None:
        to_disk(self.task.curve)  # no checkpoint is ahead of its curve, whatever happens to the machine
        save_checkpoint(path, self.trainer, self.task.settings(self.trainer.epoch))


def read_curve(path: Path) -> list[dict[str, str]]:
    """Rows of a learning curve, up to the first that is not whole; none where there is no file yet."""
    if not path.exists():
        return []
    text, ended, _ = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    return list(takewhile(_is_whole, csv.DictReader(text.splitlines()))) if ended else []


def _is_whole(row: dict) -> bool:
    """Whether a row has its numbers: a machine that loses its power leaves others, even zero bytes."""
    try:
        for value in row.values():
            float(value)
        return int(row["epoch"]) > 0
    except (KeyError, TypeError, ValueError):
        return False


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
    kept = [row for row in read_curve(path) if int(row["epoch"]) <= epochs]
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(kept)
    partial.replace(path)
