"""Proposals: the next configuration of one model from the trials it has had.

A proposal is a function of that history, the seed and the trial's number, so a search that is continued
proposes what the uninterrupted one would have proposed, and there is no sampler state to lose. One model's
sampler never sees another model's trials: a model that is better than the rest must not decide what counts as
a good configuration of the others.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from suite.space.domains import Domain

optuna.logging.set_verbosity(optuna.logging.WARNING)


def propose(
    history: Sequence[FrozenTrial],
    domains: Mapping[str, Domain],
    *,
    sampler: str,
    seed: int,
    number: int,
    startup_trials: int,
) -> dict[str, int | float | bool | str | None]:
    """Values for `domains`, given the model's earlier trials (finished, stopped, failed and running).

    Stopped trials count with the value of their last epoch, failed ones not at all, running ones as
    probably bad (constant liar), so that concurrent proposals spread.
    """
    if not domains:
        return {}
    distributions: dict[str, BaseDistribution] = {
        name: domain.distribution() for name, domain in domains.items()
    }
    state = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    study = optuna.create_study(direction="minimize", sampler=_sampler(sampler, state, startup_trials))
    study.add_trials(list(history))
    return study.ask(distributions).params


def startup_trials(trials_per_model: int) -> int:
    """Random trials before TPE takes over: a third of a model's share, between 3 and TPE's usual 10."""
    return max(3, min(10, trials_per_model // 3))


def _sampler(name: str, seed: int, startups: int) -> BaseSampler:
    if name == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        # Both settings are marked experimental; they are what a space with joint effects needs.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(
            multivariate=True, group=True, constant_liar=True, n_startup_trials=startups, seed=seed
        )
