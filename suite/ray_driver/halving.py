"""`asha` and `hyperband`: successive halving among the trials of one model, by Ray Tune.

ASHA: L. Li et al., MLSys 2020. HyperBand (L. Li et al., JMLR 18, 185 (2018)), in its asynchronous form, runs
several halvings side by side which begin at later and later epochs, so that a trial that learns slowly has a
chance, too. The earlier one begins, the more trials it gets.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from suite.space.search_space import SearchSpace


class Halving:
    """The rungs of one model; trials are known by their numbers.

    Args:
        space: gives scheduler, epochs, grace period, reduction factor and seed.
    """

    def __init__(self, space: SearchSpace) -> None:
        search, epochs = space.search, space.budget.epochs
        self._name = {"asha": "ASHA", "hyperband": "HyperBand"}[search.scheduler]
        self._reduction, self._seed = search.reduction, search.seed
        first_rungs = [search.grace_epochs]
        while search.scheduler == "hyperband" and first_rungs[-1] * search.reduction < epochs:
            first_rungs.append(first_rungs[-1] * search.reduction)
        # Any: numbers take the place of Tune's trials.
        self._brackets: list[Any] = [
            AsyncHyperBandScheduler(
                time_attr="epoch",
                metric="val_mae",
                mode="min",
                # Above the last epoch, so that a trial ends by itself and not at a rung.
                max_t=epochs + 1,
                grace_period=rung,
                reduction_factor=search.reduction,
            )
            for rung in first_rungs
        ]
        self._bracket_of: dict[int, Any] = {}

    def add(self, number: int) -> None:
        """A trial that begins."""
        bracket = self._bracket_of[number] = self._brackets[self._choice(number)]
        bracket.on_trial_add(None, SimpleNamespace(trial_id=number))

    def stop(self, number: int, epoch: int, value: float) -> str | None:
        """Why the trial is to be stopped after this epoch; None if it is not."""
        result = {"epoch": epoch, "val_mae": value}
        trial = SimpleNamespace(trial_id=number)
        if self._bracket_of[number].on_trial_result(None, trial, result) == TrialScheduler.CONTINUE:
            return None
        return (
            f"{self._name}: {value:.4g} after epoch {epoch} is not among the best "
            f"1/{self._reduction:g} of its model's trials"
        )

    def end(self, number: int, epoch: int, value: float) -> None:
        """A trial that ended with this value."""
        result = {"epoch": epoch, "val_mae": value}
        self._bracket_of.pop(number).on_trial_complete(None, SimpleNamespace(trial_id=number), result)

    def _choice(self, number: int) -> int:
        """The bracket of a trial: a function of seed and number, so that a continued search deals the same.

        Bracket b of B gets a share of trials that grows as HyperBand's, with the number of its rungs.
        """
        rungs = np.arange(len(self._brackets), 0, -1)
        share = self._reduction ** (rungs - 1.0) / rungs
        rng = np.random.default_rng([self._seed, number])
        return int(rng.choice(len(rungs), p=share / share.sum()))
