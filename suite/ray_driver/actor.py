"""`TrialActor`: the process that trains trials, one after the other, importing torch once."""

import logging
import traceback
from pathlib import Path
from typing import Any

import torch
from ray import tune

from crystalformer.training.loop import Diverged
from suite.trial import TrialRun, TrialTask

_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory")


class TrialActor(tune.Trainable):
    """Trains the task in its configuration, an epoch per `step`.

    What goes wrong inside a trial is a result with the reason under `failed`, not an exception: the same
    configuration would only fail again, so Tune's retries are left to lost workers, and the actor lives on.
    """

    def setup(self, config: dict[str, Any]) -> None:
        torch.set_num_threads(max(1, int(config["cpu"])))
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._end()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._failure is None:
            try:
                return self._advance()
            except Exception as error:  # a trial's failure is data, whatever it is
                self._fail(error)
        return {
            "failed": self._failure,
            "epoch": self._epochs(),
            "parameters": self._parameters(),
            "done": True,
        }

    def cleanup(self) -> None:
        self._end()

    def _begin(self, config: dict[str, Any]) -> None:
        self._run: TrialRun | None = None
        self._failure: str | None = None
        self._task = TrialTask(**config["task"])
        device = "cuda" if config["gpu"] and torch.cuda.is_available() else "cpu"
        try:
            self._run = TrialRun(self._task, device)
        except Exception as error:
            self._fail(error)

    def _advance(self) -> dict[str, Any]:
        assert self._run is not None
        record = self._run.step()
        finished = self._run.trainer.finished
        result = {
            "epoch": record.epoch,
            "val_mae": record.val_mae,
            "val_mae_raw": record.val_mae_raw,
            "train_mae": record.train_mae,
            "crystals_per_s": record.crystals_per_s,
            "trained_s": self._run.seconds(),
            "parameters": self._run.parameters,
            "done": finished,
        }
        if finished:
            self._end()
        return result

    def _fail(self, error: Exception) -> None:
        """Keep the reason for the table and the traceback beside the trial's curve."""
        text = str(error).strip().split("\n")[0][:300]
        if isinstance(error, Diverged):
            self._failure = f"diverged: {text}"
        elif isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
            sign in str(error).lower() for sign in _MEMORY_SIGNS
        ):
            self._failure = f"out of memory: {text}"
        else:
            self._failure = f"{type(error).__name__}: {text}"
        folder = Path(self._task.folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "error.txt").write_text("".join(traceback.format_exception(error)))
        logging.getLogger(__name__).warning("trial %s: %s", self._task.run_id, self._failure)

    def _end(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None

    def _epochs(self) -> int:
        return self._run.trainer.epoch if self._run is not None else 0

    def _parameters(self) -> int | None:
        return self._run.parameters if self._run is not None else None
