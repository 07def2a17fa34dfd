"""`TrialActor`: the process that trains trials, one after the other, importing torch once."""

import traceback
from pathlib import Path
from typing import Any

import torch
from ray import tune

from crystalformer.allocator import keep_freed_memory
from crystalformer.training.loop import Diverged
from crystalformer.training.memory import give_back, out_of_memory
from crystalformer.training.ranks import LostRank
from suite.broken import disk_fault
from suite.ray_driver.share import claim, whereabouts
from suite.run_folder import FolderHeld, Superseded
from suite.space.search_space import SearchSpace
from suite.team import Place
from suite.trial import TrialRun
from suite.trial_task import TrialTask

_INFEASIBLE = ("out of memory", "diverged")


def trial_config(task: dict, space: SearchSpace, gpus: float, passes: int | None) -> dict[str, Any]:
    """What Tune takes for the configuration of a trial; small, as all of Tune's messages repeat it."""
    resources = space.resources
    return {
        "task": task,
        "cpu": resources.cpu,
        "gpu": gpus,
        "processes": resources.processes,
        "passes": passes,
    }


def bundle(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune reserves for a trial: one bundle, so that all its processes are on one machine."""
    gpu = {"GPU": config["gpu"]} if config["gpu"] else {}
    return tune.PlacementGroupFactory([{"CPU": config["cpu"], **gpu}])


class TrialActor(tune.Trainable):
    """Trains the task in its configuration, an epoch per `step`.

    What goes wrong inside a trial is a result with the reason under `failed`, not an exception: the same
    configuration would only fail again, so Tune's retries are left to lost workers, and the actor lives on.

    A trial begins with its first `step`, not with `setup`: Tune may set an actor up for a trial that another
    actor, kept from an earlier trial, has taken over or even finished by then.
    """

    _run: TrialRun | None

    def setup(self, config: dict[str, Any]) -> None:
        """See Ray's `Trainable.setup`."""
        keep_freed_memory()
        torch.set_num_threads(max(1, int(config["cpu"]) // config["processes"]))
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """See Ray's `Trainable.reset_config`."""
        self._end()
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """See Ray's `Trainable.step`."""
        try:
            if self._run is None:
                self._run = TrialRun(self._task, self._place)
            return self._advance(self._run)
        except (LostRank, FolderHeld, Superseded):
            raise  # as if this worker were lost: the trial goes on from its checkpoint in another one
        except Exception as error:  # a trial's failure is data, whatever it is
            if fault := disk_fault(error):
                return {"broken": fault, "done": True}
            failure = self._reason(error)
        run = self._run
        result = {
            "failed": failure,
            # The configuration is to blame, which its sampler should know: too large, or it diverged.
            "infeasible": failure.startswith(_INFEASIBLE),
            "epoch": run.trainer.epoch if run else 0,
            "parameters": run.setup.parameters if run else None,
            "done": True,
        }
        self._end()  # its memory and its other processes go now, not when the next trial comes
        return result

    def cleanup(self) -> None:
        """See Ray's `Trainable.cleanup`."""
        self._end()

    def _take(self, config: dict[str, Any]) -> None:
        self._run = None
        self._task = TrialTask(**config["task"])
        self._place = Place(claim(config["gpu"]), config["processes"], config["passes"])

    def _advance(self, run: TrialRun) -> dict[str, Any]:
        record = run.step()
        finished = run.trainer.finished
        result = {
            "epoch": record.epoch,
            "val_mae": record.val_mae,
            "val_mae_raw": record.val_mae_raw,
            "train_mae": record.train_mae,
            "crystals_per_s": record.crystals_per_s,
            "trained_s": run.seconds,
            "parameters": run.setup.parameters,
            "predict_ms_per_crystal": run.predict_ms_per_crystal,
            "missing": sum(run.setup.missing.values()),
            "crystals_at_once": run.trainer.crystals_at_once,
            "place": whereabouts(),
            "done": finished,
        }
        if finished:
            self._end()
        return result

    def _reason(self, error: Exception) -> str:
        """The reason for the table; the traceback goes beside the trial's curve."""
        text = str(error).strip().split("\n")[0][:300]
        folder = Path(self._task.folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "error.txt").write_text("".join(traceback.format_exception(error)))
        if isinstance(error, Diverged):
            return f"diverged: {text}"
        if out_of_memory(error):
            return f"out of memory: {text}"
        return f"{type(error).__name__}: {text}"

    def _end(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None
            give_back(self._place.device)
