"""Early stopping among the trials of one model, and the budgets, as Tune asks for them.

Models learn at different speeds, so a trial is only ever compared with trials of its own model.
"""

from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from crystalformer.training.checkpoint import checkpoint_epoch
from suite.median import median_stop
from suite.ray_driver.halving import Halving
from suite.ray_driver.searcher import LedgerSearcher
from suite.space.search_space import SearchSpace


class PerModelStopping(FIFOScheduler):
    """The stopping rule of the search, for each model by itself, and an end for all when a budget is used up.

    Args:
        space: gives scheduler, grace period, reduction factor and epochs.
        searcher: knows which trial is whose; takes the reason of a stop.
    """

    def __init__(self, space: SearchSpace, searcher: LedgerSearcher) -> None:
        super().__init__()
        self._search = space.search
        self._searcher = searcher
        self._halving: dict[str, Halving] = {}
        if space.search.scheduler in ("asha", "hyperband"):
            self._halving = {key: Halving(space) for key in space.models}
            self._replay()

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """See Ray's `TrialScheduler.on_trial_add`."""
        assignment, task = self._searcher.running[trial.trial_id]
        if halving := self._halving.get(assignment.model):
            halving.add(assignment.number)
            # Of a trial that is continued, the rungs before its checkpoint are known; it repeats the rest.
            done = checkpoint_epoch(task.checkpoint)
            for epoch, error in self._searcher.ledger.trials()[assignment.number].curve:
                if epoch < done:
                    halving.stop(assignment.number, epoch, error)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """See Ray's `TrialScheduler.on_trial_result`."""
        assignment, task = self._searcher.running[trial.trial_id]
        if "broken" in result:
            return TrialScheduler.STOP
        epoch, value = result["epoch"], result["val_mae"]
        if used := self._searcher.ledger.used_up():
            reason: str | None = f"{used} in epoch {epoch}"
        elif self._search.scheduler == "median":
            reason = self._median(assignment.number, assignment.model, epoch, value)
        elif halving := self._halving.get(assignment.model):
            reason = halving.stop(assignment.number, epoch, value)
        else:
            reason = None
        if reason is None:
            return TrialScheduler.NOOP if self._searcher.holds(task) else TrialScheduler.CONTINUE
        self._searcher.stop_reasons[trial.trial_id] = reason
        return TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """See Ray's `TrialScheduler.on_trial_complete`."""
        running = self._searcher.running.get(trial.trial_id)
        if running and (halving := self._halving.get(running[0].model)) and "failed" not in result:
            halving.end(running[0].number, result["epoch"], result["val_mae"])

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A lost trial leaves its rungs as they are; the searcher, asked next, will want to know why."""
        file = Path(trial.error_file or "")  # on this machine; Tune's own reader would look in its storage
        self._searcher.said_of_losses[trial.trial_id] = file.read_text() if file.is_file() else ""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """A removed trial leaves its rungs as they are."""

    def _median(self, number: int, model: str, epoch: int, value: float) -> str | None:
        if epoch < self._search.grace_epochs:
            return None
        trials = self._searcher.ledger.trials()
        others = [
            trial.curve
            for trial in trials
            if trial.assignment.number != number and trial.assignment.model == model
        ]
        return median_stop(min([value, *trials[number].curve.until(epoch)]), others, epoch)

    def _replay(self) -> None:
        """Put the recorded trials of earlier sessions on their rungs."""
        for trial in self._searcher.ledger.trials():
            if trial.state == "running":
                continue
            number, halving = trial.assignment.number, self._halving[trial.assignment.model]
            halving.add(number)
            for epoch, value in trial.curve:
                halving.stop(number, epoch, value)

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its scheduler into a file that nobody reads
