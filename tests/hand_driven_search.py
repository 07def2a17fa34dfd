"""Searcher and scheduler of a small study, driven by hand in Tune's place."""

from pathlib import Path
from types import SimpleNamespace

from suite_fixtures import small_space

from suite.ledger import TrialLedger
from suite.ray_driver.fractions import Fractions
from suite.ray_driver.scheduler import PerModelStopping
from suite.ray_driver.searcher import LedgerSearcher
from suite.space.search_space import load_space
from suite.storage import open_storage
from suite.storage_url import DEFAULT
from suite.trial_task import TrialTask

OVERRIDES = ("budget.trials=12", "budget.epochs=8", "search.grace_epochs=2", "search.reduction=2")


class Silence:
    """A watcher that shows nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *args: None


class Search:
    """Searcher and scheduler of a study, driven by hand in Tune's place."""

    def __init__(self, folder: Path, overrides: tuple[str, ...] = OVERRIDES) -> None:
        self.folder = folder
        space = load_space(small_space(folder), overrides)
        self.ledger = TrialLedger(open_storage(DEFAULT, folder), "study", space)
        self.interrupted = False
        self.searcher = LedgerSearcher(
            self.ledger,
            self._task,
            Silence(),  # type: ignore[arg-type]
            Fractions(space, {}),
            save=lambda: None,
            interrupted=lambda: self.interrupted,
        )
        self.scheduler = PerModelStopping(space, self.searcher)
        self.trials: dict[int, SimpleNamespace] = {}
        self.settings: dict[str, object] = {}

    def _task(self, assignment):  # type: ignore[no-untyped-def]
        return TrialTask(
            run_id=assignment.trial_id, model=assignment.model, model_config=self.settings,
            train_config={"epochs": 8}, recipe="common", seed=0, target="y", unit=None,
            store="", split="", cache="", tensorboard="",
            folder=str(self.folder / assignment.trial_id), hparams={},
        )  # fmt: skip

    def start(self, tune_id: str) -> int:
        assert isinstance(self.searcher.suggest(tune_id), dict)
        number = self.searcher.running[tune_id][0].number
        self.trials[number] = SimpleNamespace(trial_id=tune_id)
        self.scheduler.on_trial_add(None, self.trials[number])
        return number

    def result(self, number: int, epoch: int, value: float) -> str:
        """As Tune does: the scheduler first; a stop is a completion for both."""
        trial = self.trials[number]
        result = {"epoch": epoch, "val_mae": value, "crystals_per_s": 1.0, "trained_s": 1.0, "parameters": 1}
        if epoch == 8:
            self.scheduler.on_trial_complete(None, trial, result)
            self.searcher.on_trial_complete(trial.trial_id, result)
            return "DONE"
        decision = self.scheduler.on_trial_result(None, trial, result)
        if decision == "STOP":
            self.scheduler.on_trial_complete(None, trial, result)
            self.searcher.on_trial_complete(trial.trial_id, result)
        else:
            self.searcher.on_trial_result(trial.trial_id, result)
        return decision
