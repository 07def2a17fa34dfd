"""`LedgerSearcher`: Tune asks the ledger what to run, and the ledger hears how it ended."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from suite.assignment import Assignment
from suite.broken import SearchBroken, disk_fault
from suite.checkpoint_request import CheckpointRequest
from suite.ledger import TrialLedger
from suite.progress import Watcher
from suite.ray_driver.actor import trial_config
from suite.ray_driver.fractions import Fractions
from suite.ray_driver.losses import Losses, in_words
from suite.storage import STORAGE_ERRORS
from suite.trial_record import State
from suite.trial_task import TrialTask


class LedgerSearcher(Searcher):
    """Tune's view of a `TrialLedger`.

    Args:
        ledger: decides and records.
        make_task: an assignment's training task.
        watcher: is told of starts, epochs and ends.
        fractions: knows the GPUs of each task.
        save: called as the record changes.
        interrupted: whether the search was asked to stop: it starts nothing more then.
    """

    def __init__(
        self,
        ledger: TrialLedger,
        make_task: Callable[[Assignment], TrialTask],
        watcher: Watcher,
        fractions: Fractions,
        save: Callable[[], None],
        interrupted: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.ledger = ledger
        self.running: dict[str, tuple[Assignment, TrialTask]] = {}
        self.stop_reasons: dict[str, str] = {}
        self.said_of_losses: dict[str, str] = {}
        self.broken: SearchBroken | None = None
        self.request: CheckpointRequest | None = None
        self._losses = Losses(ledger)
        self._make_task = make_task
        self._watcher = watcher
        self._fractions = fractions
        self._next: tuple[Assignment, TrialTask] | None = None  # waits for its measurement
        self._save = save
        self._interrupted = interrupted

    def suggest(self, trial_id: str) -> Any:
        """See Ray's `Searcher.suggest`."""
        with self._noting_faults():
            return self._start(trial_id)

    def _start(self, trial_id: str) -> Any:
        # While nothing runs Tune asks again and again, for ten minutes, and calls nobody else.
        if self._interrupted():
            return None if self.running else Searcher.FINISHED
        if self._losses.pausing:
            return None
        if self._next is None:
            assignment = self.ledger.next()
            if assignment is None:  # while others run, Tune is to ask again: one may lose its worker
                return None if self.running else Searcher.FINISHED
            self._next = (assignment, self._make_task(assignment))
        assignment, task = self._next
        gpus = self._fractions.of(task)
        if gpus is None:
            return None
        if gpus:
            self.ledger.use_gpus(assignment.number, gpus)
        self.running[trial_id], self._next = self._next, None
        self._watcher.started(task.run_id, assignment.model, task.train_config["epochs"])
        return trial_config(asdict(task), self.ledger.space, gpus, self._losses.passes(assignment.number))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """See Ray's `Searcher.on_trial_result`."""
        assignment, task = self.running[trial_id]
        self._losses.calm()
        with self._noting_faults():
            self.ledger.report(assignment.number, result["epoch"], result["val_mae"], result["trained_s"])
            self._watcher.epoch(task.run_id, result["epoch"], result["val_mae"], result["crystals_per_s"])
            self._save()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """See Ray's `Searcher.on_trial_complete`."""
        with self._noting_faults():
            self._end(trial_id, result or {}, error)

    def holds(self, task: TrialTask) -> bool:
        """Whether a run is to wait where it is, since the search is about to end and it has been saved."""
        return self.broken is not None or (self.request is not None and self.request.answered(task))

    @contextmanager
    def _noting_faults(self) -> Iterator[None]:
        """Note what ends the search, see `Ending`; other errors go on to Tune."""
        try:
            yield
        except STORAGE_ERRORS as error:
            line = str(error).strip().splitlines()[0]
            self.broken = SearchBroken(disk_fault(error) or f"the study cannot be reached: {line}")
        except OSError as error:
            if (fault := disk_fault(error)) is None:
                raise
            self.broken = SearchBroken(fault)

    def _end(self, trial_id: str, result: dict[str, Any], error: bool) -> None:
        assignment, task = self.running.pop(trial_id)
        if "broken" in result:
            self.broken = SearchBroken(result["broken"])
        if self.broken is not None:
            return  # the trial stays unfinished in the study, and its checkpoint where it is
        if error:
            said = self.said_of_losses.pop(trial_id, "")
            over = self._losses.over(assignment, task, said)
            if over is None:
                self._watcher.message(f"{task.run_id}: {in_words(said)}; it is taken up again")
                return
            result = {"failed": over, "infeasible": over.startswith("out of memory")}
        epochs = int(result.get("epoch", 0))
        state: State
        if "failed" in result:
            state, ended = "failed", result["failed"]
        elif trial_id in self.stop_reasons:
            state, ended = "stopped", self.stop_reasons.pop(trial_id)
        elif task.until is not None and epochs == task.until < task.train_config["epochs"]:
            self.ledger.report(assignment.number, epochs, result["val_mae"], result["trained_s"])
            self._watcher.epoch(task.run_id, epochs, result["val_mae"], result["crystals_per_s"])
            self._save()
            return
        else:
            state, ended = "complete", f"trained for all {epochs} epochs"
        known = {
            "epochs": epochs or None,
            "val_mae": result.get("val_mae"),
            "val_mae_raw": result.get("val_mae_raw"),
            "seconds": result.get("trained_s"),
            "parameters": result.get("parameters"),
            "predict_ms_per_crystal": result.get("predict_ms_per_crystal"),
            "infeasible": True if result.get("infeasible") else None,
            "missing": result.get("missing"),
            "crystals_at_once": result.get("crystals_at_once"),
            "place": result.get("place") or None,
            "recipe": task.recipe,
            "config": json.dumps(task.resolved_config()),
            **task.facts(),
        }
        self.ledger.finish(assignment.number, state, ended, {k: v for k, v in known.items() if v is not None})
        task.checkpoint.unlink(missing_ok=True)
        self._save()
        self._watcher.ended(task.run_id, state, ended, result.get("val_mae"))

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec: Any) -> bool:
        """See Ray's `Searcher.set_search_properties`."""
        return True  # the ledger knows what is minimised

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the record."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the record."""

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its searcher into a file that nobody reads
