"""Early stopping: asynchronous successive halving among the trials of one model, and the time budget.

Models learn at different speeds, so a trial is only ever compared with trials of its own model
(ASHA, Li et al., MLSys 2020, as implemented by Ray Tune).
"""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from crystalformer.training.checkpoint import checkpoint_epoch
from suite.ray_driver.searcher import LedgerSearcher
from suite.space.search_space import SearchSpace


class _Recorded:
    """A finished trial of an earlier session, as far as ASHA looks at one."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


class PerModelStopping(FIFOScheduler):
    """One ASHA per model, or none at all, and an end for all when the hours are used up.

    Args:
        space: gives scheduler, grace period, reduction factor and epochs.
        searcher: knows which trial is whose; takes the reason of a stop.
    """

    def __init__(self, space: SearchSpace, searcher: LedgerSearcher) -> None:
        super().__init__()
        self._space = space
        self._searcher = searcher
        # Any: recorded trials, which are no trials of Tune's, are put on the rungs as well.
        self._asha: dict[str, Any] = {}
        if space.search.scheduler == "asha":
            self._asha = {key: self._new_asha() for key in space.models}
            self._replay()

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        assignment, task = self._searcher.running[trial.trial_id]
        if asha := self._asha.get(assignment.model):
            asha.on_trial_add(tune_controller, trial)
            # Of a trial that is continued, the rungs before its checkpoint are known; it repeats the rest.
            done = checkpoint_epoch(task.checkpoint)
            values = self._searcher.ledger.trials()[assignment.number].intermediate_values
            for epoch in sorted(epoch for epoch in values if epoch < done):
                asha.on_trial_result(None, trial, {"epoch": epoch, "val_mae": values[epoch]})

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        assignment, _ = self._searcher.running[trial.trial_id]
        if self._searcher.ledger.out_of_time():
            self._searcher.stop_reasons[trial.trial_id] = (
                f"the budget of {self._space.budget.hours:g} h was used up in epoch {result['epoch']}"
            )
            return TrialScheduler.STOP
        asha = self._asha.get(assignment.model)
        if asha is None or asha.on_trial_result(tune_controller, trial, result) == TrialScheduler.CONTINUE:
            return TrialScheduler.CONTINUE
        self._searcher.stop_reasons[trial.trial_id] = (
            f"ASHA: {result['val_mae']:.4g} after epoch {result['epoch']} is not among the best "
            f"1/{self._space.search.reduction:g} of its model's trials"
        )
        return TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        assignment = self._searcher.running.get(trial.trial_id)
        if assignment and (asha := self._asha.get(assignment[0].model)) and "failed" not in result:
            asha.on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A lost trial leaves its rungs as they are."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """A removed trial leaves its rungs as they are."""

    def _new_asha(self) -> AsyncHyperBandScheduler:
        search, epochs = self._space.search, self._space.budget.epochs
        return AsyncHyperBandScheduler(
            time_attr="epoch",
            metric="val_mae",
            mode="min",
            # Above the last epoch, so that a trial ends by itself and not at a rung.
            max_t=epochs + 1,
            grace_period=search.grace_epochs,
            reduction_factor=search.reduction,
        )

    def _replay(self) -> None:
        """Put the recorded trials of earlier sessions on their rungs."""
        for row, trial in zip(self._searcher.ledger.rows(""), self._searcher.ledger.trials(), strict=True):
            if row["state"] == "running":
                continue
            recorded = _Recorded(row["trial_id"])
            asha = self._asha[row["model"]]
            asha.on_trial_add(None, recorded)
            for epoch, value in sorted(trial.intermediate_values.items()):
                asha.on_trial_result(None, recorded, {"epoch": epoch, "val_mae": value})

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its scheduler into a file that nobody reads
