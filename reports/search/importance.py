"""How much each hyper-parameter decides which trials are good: PED-ANOVA, within one model.

S. Watanabe, A. Bansal, F. Hutter, IJCAI 2023 (arXiv:2304.10255); for parameters that exist only under a
condition as Optuna does it (arXiv:2601.20800). Early stopping leaves few complete trials, so that the same
is asked of the errors after each rung, which all trials that came so far have.
"""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np

from reports.search.curves import at_epoch
from reports.search.searched import Branch
from suite.space.scalars import Scalar

# PED-ANOVA sets the best tenth against all; below five trials in the former its authors call it unstable.
LEAST_TRIALS = 50
FEWEST_TRIALS = 20  # below, nothing is shown


@dataclass(frozen=True)
class Importances:
    """The importances of one model's hyper-parameters, judged after the same number of epochs.

    `epoch`: after so many, None: at the end, among complete trials. `n`: trials behind it. `shares`:
    parameter -> share of the sum; empty where `n` is below `FEWEST_TRIALS`, or where nothing is searched.
    """

    epoch: int | None
    n: int
    shares: Mapping[str, float]

    @property
    def unsteady(self) -> bool:
        """Whether the best tenth has fewer than five trials."""
        return self.n < LEAST_TRIALS


def importances(branch: Branch, curves: dict[str, np.ndarray], rungs: list[int]) -> list[Importances]:
    """Of a model: after every rung, then among the complete trials. `curves`: those of `read_curves`."""
    values = dict(zip(branch.trials["trial_id"], branch.values(branch.trials), strict=True))
    complete = branch.complete
    ends = dict(zip(complete["trial_id"], complete["val_mae"], strict=True))
    mine = {trial_id: curves[trial_id] for trial_id in values if trial_id in curves}
    judged: list[tuple[int | None, dict[str, float]]] = [(rung, at_epoch(mine, rung)) for rung in rungs]
    return [
        Importances(epoch, len(errors), _shares(branch, values, errors))
        for epoch, errors in [*judged, (None, ends)]
    ]


def _shares(
    branch: Branch, values: Mapping[str, Mapping[str, Scalar]], errors: Mapping[str, float]
) -> dict[str, float]:
    if len(errors) < FEWEST_TRIALS or not branch.domains:
        return {}
    optuna = _optuna()
    distributions = {name: domain.distribution() for name, domain in branch.domains.items()}
    judged = [(values[trial_id], error) for trial_id, error in errors.items()]
    study = optuna.create_study(storage=_at_hand(distributions, judged), direction="minimize")
    with warnings.catch_warnings():  # of regimes with few trials: n is shown
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(found.get(name, 0.0)) for name in branch.domains}


def _at_hand(distributions: Mapping[str, Any], judged: Sequence[tuple[Mapping[str, Scalar], float]]) -> Any:
    """A storage that has the trials already: to add thousands to one of Optuna's takes far longer than to
    judge them.
    """
    optuna = _optuna()
    now, state = datetime.now(), optuna.trial.TrialState.COMPLETE
    trials = [
        optuna.trial.FrozenTrial(
            number=number,
            trial_id=number,
            state=state,
            value=error,
            datetime_start=now,
            datetime_complete=now,
            params=dict(values),
            distributions={name: distributions[name] for name in values},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        for number, (values, error) in enumerate(judged)
    ]

    class AtHand(optuna.storages.InMemoryStorage):  # type: ignore[name-defined]
        def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> list[Any]:
            return trials

    return AtHand()


@cache
def _optuna() -> Any:
    """Optuna, which takes a second to import: only where there is something to judge."""
    import optuna

    with _absent("sklearn"):  # for evaluators that are not used here, and as long again
        import optuna.importance

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """Where a package is optional, it is as if it was not installed."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment] # the import system's sign of one that is not there
    try:
        yield
    finally:
        del sys.modules[package]
