"""From a task to a trainer: arrays -> batches -> model -> checkpoint, the same in every process of a run."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatches
from crystalformer.data.splits import load_split
from crystalformer.data.targets import TargetScaler
from crystalformer.training.checkpoint import CheckpointError, checkpoint_epoch, load_checkpoint
from crystalformer.training.config import TrainConfig
from crystalformer.training.loop import EpochRecord, Trainer, TrainingData
from crystalformer.training.ranks import Ranks
from suite.registry import MODELS
from suite.registry_table import parameter_count
from suite.trial_task import TrialTask

log = logging.getLogger(__name__)


class NothingToTrainOn(ValueError):
    """The model can represent no crystal of the training or of the validation split."""


def _values(change: dict) -> dict:
    return {name: value for name, value in change.items() if name != "epoch"}


class TrainingSetup:
    """What a task needs to be trained, at its beginning or at its checkpoint.

    Crystals that the model cannot represent take no part, and are counted: `failures` has the reason of each
    such row of the store, `missing` how many of training and validation there are. `again` is the record of
    the checkpoint's epoch, None without one.

    Args:
        task: what is trained.
        device: where.
        ranks: the processes that train it together, None: this one alone.
        passes: crystals of one pass at most to begin with, where the recipe leaves that open.

    Raises:
        NothingToTrainOn: the model can represent no crystal of a split.
    """

    def __init__(
        self, task: TrialTask, device: str, ranks: Ranks | None = None, passes: int | None = None
    ) -> None:
        self._task, entry = task, MODELS[task.model]
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
        config = TrainConfig(**task.train_config)
        self.trainer = Trainer(model, self.data, config, task.seed, device, ranks=ranks)
        self.trainer.follow({c["epoch"]: replace(config, **_values(c)) for c in task.schedule}, task.until)
        if passes is not None:
            self.trainer.bound_passes(passes)
        self.again: EpochRecord | None = None
        if not self._restore():
            first = self.data.make_batch(self.trainer.order.epoch(0)[0])
            entry.calibrate(self.trainer.model, first.to(device))
        if ranks is not None:
            weights = sum(p.detach().double().abs().sum().item() for p in self.trainer.model.parameters())
            ranks.check_same([float(self.trainer.epoch), weights])

    def _restore(self) -> bool:
        """Continue from the latest state, if there is a usable one; else the run starts anew."""
        task, states = self._task, [self._task.checkpoint]
        if task.until is not None:
            states.append(task.paused(task.until))
        if task.source is not None:
            states.append(Path(task.source))
        for path in sorted((path for path in states if path.exists()), key=checkpoint_epoch, reverse=True):
            try:
                self.again = load_checkpoint(path, self.trainer, task.settings(checkpoint_epoch(path)))
            except CheckpointError:
                if path == task.checkpoint:
                    path.unlink(missing_ok=True)
                continue
            return True
        return False

    def _training_data(self, batches: Callable[[np.ndarray], CrystalBatches]) -> TrainingData:
        task = self._task
        split = load_split(self.store, task.split).without_test()
        train = self.store.rows(split.train)
        values = np.asarray(self.store.targets[task.target])
        # Of all training crystals: every model sees the same targets, whatever it can represent.
        scaler = TargetScaler.fit(values[train][:, None], task.unit)
        if not TrainConfig(**task.train_config).scale_targets:
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
                f"{part} crystals: expected at least one that {self._task.model} can represent, got none of "
                f"{len(rows)}; crystal {self.store.ids[first]}: {self.failures[first]}"
            )
        return kept
