"""`propose`: values for the searched parameters of one model, by the sampler of the search."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from suite.sampling.beliefs import drawn_towards, fading
from suite.sampling.cma_es import Outcome, cma_es
from suite.sampling.optuna_samplers import Proposal, ask_optuna
from suite.sampling.quasi_random import quasi_random
from suite.space.domains import Choice, Domain
from suite.space.priors import Prior


def propose(
    history: Sequence[FrozenTrial],
    domains: Mapping[str, Domain],
    *,
    sampler: str,
    seed: int,
    number: int,
    startup_trials: int,
    objectives: int = 1,
    priors: Mapping[str, Prior] | None = None,
) -> Proposal:
    """Values for `domains`.

    Args:
        history: the model's earlier trials, by number: finished, stopped, failed and running.
        domains: what is searched; no proposal is needed where that is nothing.
        sampler: a name of `suite.space.search_block.SAMPLERS`.
        seed: of the search.
        number: of the trial that is proposed.
        startup_trials: how many trials are random before a sampler that learns takes over.
        objectives: how many values a complete trial has.
        priors: of some of the domains; what they change depends on the sampler, see `beliefs`.
    """
    if not domains:
        return Proposal({}, {})
    state = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    priors = priors or {}
    weight = 1.0 if sampler == "random" else fading(len(history), startup_trials)
    match sampler:
        case "quasi-random":
            return Proposal(quasi_random(domains, seed, len(history), priors), {})
        case "cma-es":
            params = cma_es([_outcome(trial) for trial in history], domains, state, priors)
            # Choices alone: the distribution of the numbers has begun at their priors.
            chosen = {name: prior for name, prior in priors.items() if isinstance(domains[name], Choice)}
            return Proposal(drawn_towards(params, domains, chosen, state, weight), {})
    proposal = ask_optuna(
        history,
        domains,
        sampler=sampler,
        seed=state,
        startup_trials=startup_trials,
        objectives=objectives,
    )
    return Proposal(drawn_towards(proposal.params, domains, priors, state, weight), proposal.attributes)


def startup_trials(trials_per_model: int) -> int:
    """Random trials before a learning sampler takes over: a third of a model's share, between 3 and 10."""
    return max(3, min(10, trials_per_model // 3))


def _outcome(trial: FrozenTrial) -> Outcome:
    if trial.state == TrialState.FAIL:
        return Outcome(trial.params, math.inf)
    if trial.state == TrialState.COMPLETE:
        return Outcome(trial.params, trial.value)
    if trial.state == TrialState.PRUNED:
        last = max(trial.intermediate_values)
        return Outcome(trial.params, trial.intermediate_values[last])
    return Outcome(trial.params, None)
