"""Priors at work: what a sampler proposes, drawn towards the values that are believed to be good.

Of the first proposals, those that follow the prior of a parameter of strength s are a part s of all; their
values are normally distributed around it. A sampler that learns is believed more and more: after its random
trials the part falls with one over the number of trials, as the weight of the prior does in
piBO (Hvarfner et al., ICLR 2022).
"""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np

from suite.sampling.unit_cube import position, value_at
from suite.space.domains import Choice, Domain
from suite.space.priors import Prior
from suite.space.scalars import Scalar

SPREAD = 0.15  # standard deviation, as a part of the range (in the logarithm where that is sampled)


def drawn_towards(
    params: Mapping[str, Scalar],
    domains: Mapping[str, Domain],
    priors: Mapping[str, Prior],
    seed: int,
    weight: float = 1.0,
) -> dict[str, Scalar]:
    """Values, those of parameters with a prior near it with probability `weight` times its strength.

    One number decides for all parameters, so that what is believed to be good is tried together.
    """
    rng = np.random.default_rng([seed, 1])
    level = rng.random()
    places = {name: rng.random() for name in priors}
    near = {
        name: near_prior(domains[name], prior, places[name])
        for name, prior in priors.items()
        if level < weight * prior.strength
    }
    return {**params, **near}


def near_prior(domain: Domain, prior: Prior, u: float) -> Scalar:
    """The quantile u in [0, 1) of the values around a prior, which end where the domain does."""
    if isinstance(domain, Choice):
        return prior.value
    around = NormalDist(position(domain, prior.value), SPREAD)
    low, high = around.cdf(0.0), around.cdf(1.0)
    return value_at(domain, min(max(around.inv_cdf(low + u * (high - low)), 0.0), 1.0))


def believed_value(domain: Domain, prior: Prior | None, u: float) -> Scalar:
    """The value at u in [0, 1), of which the part below the prior's strength lies around it."""
    if prior is None:
        return value_at(domain, u)
    if u < prior.strength:
        return near_prior(domain, prior, u / prior.strength)
    return value_at(domain, (u - prior.strength) / (1 - prior.strength))


def fading(trials: int, startup_trials: int) -> float:
    """The weight of priors after so many trials, for a sampler that learns."""
    return min(1.0, startup_trials / max(trials, 1))
