"""Optuna's samplers, asked in a study of their own that is thrown away: `tpe`, `random`, `gp`, `nsga-ii`."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from suite.sampling.lent_history import LentHistory
from suite.space.domains import Domain
from suite.space.scalars import Scalar

optuna.logging.set_verbosity(optuna.logging.WARNING)

FEASIBLE = {"infeasible": -1.0}  # a constraint that is met
# Samplers that take the trials as a list. NSGA-II asks the storage for each of its parents, and the Gaussian
# process keeps the parameters that trials have in common by their numbers.
LENT_TO = ("tpe", "random")
POPULATION = 16  # of NSGA-II: trials that are drawn before the first children; Optuna's 50 suit long searches


class Proposal(NamedTuple):
    """Values, and what the sampler needs to be told of this trial later on (numbers only)."""

    params: dict[str, Scalar]
    attributes: dict[str, int]


def ask_optuna(
    history: Sequence[FrozenTrial],
    domains: Mapping[str, Domain],
    *,
    sampler: str,
    seed: int,
    startup_trials: int,
    objectives: int,
) -> Proposal:
    """Values for `domains`, given the model's earlier trials (finished, stopped, failed and running).

    Stopped trials count with the value of their last epoch; with several objectives, of which that is one,
    they don't count. What ran out of memory or diverged is infeasible: the next proposals keep away from it.
    Running trials count as probably bad (constant liar), so that concurrent proposals spread.
    """
    distributions: dict[str, BaseDistribution] = {
        name: domain.distribution() for name, domain in domains.items()
    }
    lessons = _teaching(history, objectives)
    study = optuna.create_study(
        directions=["minimize"] * objectives,
        sampler=_sampler(sampler, seed, startup_trials),
        storage=LentHistory(lessons) if sampler in LENT_TO else None,
    )
    if sampler not in LENT_TO:
        study.add_trials(lessons)
    trial = study.ask(distributions)
    attributes = study.get_trials(deepcopy=False)[-1].system_attrs
    kept = {key: value for key, value in attributes.items() if key.endswith(":generation")}
    return Proposal(trial.params, kept)


def _teaching(history: Sequence[FrozenTrial], objectives: int) -> list[FrozenTrial]:
    """The trials that a sampler learns from."""
    known = [trial for trial in history if trial.state == TrialState.COMPLETE]
    lessons = []
    for trial in history:
        if trial.state == TrialState.FAIL and trial.user_attrs.get("infeasible"):
            if known:  # values are needed, but not looked at: the worst there are
                worst = [max(values) for values in zip(*(t.values for t in known), strict=True)]
                lessons.append(_with_constraint(trial, worst, {"infeasible": 1.0}))
        elif trial.state == TrialState.COMPLETE:
            known_feasible = trial.constraints == FEASIBLE
            lessons.append(trial if known_feasible else feasible(trial))
        elif trial.state != TrialState.PRUNED or objectives == 1:
            lessons.append(trial)
    return lessons


def feasible(trial: FrozenTrial) -> FrozenTrial:
    """A complete trial, known to be feasible."""
    return _with_constraint(trial, trial.values, FEASIBLE)


def _with_constraint(
    trial: FrozenTrial, values: Sequence[float], constraints: dict[str, float]
) -> FrozenTrial:
    return create_trial(
        state=TrialState.COMPLETE,
        values=values,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=dict(trial.system_attrs),
        intermediate_values=trial.intermediate_values,
        constraints=constraints,
    )


def _sampler(name: str, seed: int, startups: int) -> BaseSampler:
    with warnings.catch_warnings():
        # Settings marked experimental, which a space with joint effects needs.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "random":
                return RandomSampler(seed=seed)
            case "gp":
                return GPSampler(seed=seed, n_startup_trials=startups, warn_independent_sampling=False)
            case "nsga-ii":
                return NSGAIISampler(population_size=POPULATION, seed=seed)
            case _:
                return TPESampler(
                    multivariate=True, group=True, constant_liar=True, n_startup_trials=startups, seed=seed
                )
