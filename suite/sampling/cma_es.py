"""`cma-es`: covariance matrix adaptation (Hansen, arXiv:1604.00772), replayed from the recorded trials.

A generation is as many trials as CMA-ES samples at a time, in the order of their numbers. Once all of a
generation have ended, the distribution moves; a trial of a generation that is not yet complete is drawn
from the last one. Choices have no place on an axis: they are drawn at random.
"""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from suite.sampling.unit_cube import position, value_at
from suite.space.domains import Choice, Domain
from suite.space.priors import Prior
from suite.space.scalars import Scalar

if TYPE_CHECKING:
    from cmaes import CMA

SIGMA = 0.25  # of the first generation, as a part of each range


class Outcome(NamedTuple):
    """An earlier trial: its values, and its error, infinite where it failed, None while it runs."""

    params: Mapping[str, Scalar]
    error: float | None


def cma_es(
    history: Sequence[Outcome], domains: Mapping[str, Domain], seed: int, priors: Mapping[str, Prior]
) -> dict[str, Scalar]:
    """The next values, given the model's earlier trials in the order of their numbers.

    The first generation is centred on the first trial, and on the priors where there are any.
    """
    rng = random.Random(seed)
    drawn = {
        name: domain.sample(rng)
        for name, domain in domains.items()
        if isinstance(domain, Choice) or domain.size() == 1
    }
    axes = {name: domain for name, domain in domains.items() if name not in drawn}
    if axes:
        point = _distribution(history, axes, seed, priors).ask()
        drawn |= {name: value_at(axes[name], float(u)) for name, u in zip(axes, point, strict=True)}
    return {name: drawn[name] for name in domains}


def _distribution(
    history: Sequence[Outcome], axes: Mapping[str, Domain], seed: int, priors: Mapping[str, Prior]
) -> "CMA":
    from cmaes import CMA  # long to import, for searches with this sampler alone

    start = _point(history[0], axes) if history else np.full(len(axes), 0.5)
    for index, (name, domain) in enumerate(axes.items()):
        if name in priors:
            start[index] = position(domain, priors[name].value)
    bounds = np.tile([0.0, 1.0], (len(axes), 1))
    optimizer = CMA(mean=start, sigma=SIGMA, bounds=bounds, seed=seed)
    size = optimizer.population_size
    for first in range(0, len(history) - size + 1, size):
        generation = history[first : first + size]
        if any(outcome.error is None for outcome in generation):
            break
        optimizer.tell(
            list(zip((_point(outcome, axes) for outcome in generation), _errors(generation), strict=True))
        )
    optimizer.reseed_rng(seed)
    return optimizer


def _point(outcome: Outcome, axes: Mapping[str, Domain]) -> np.ndarray:
    return np.array([_place(outcome.params, name, domain) for name, domain in axes.items()])


def _place(params: Mapping[str, Scalar], name: str, domain: Domain) -> float:
    """Where a value lies; in the middle where the parameter did not exist."""
    return position(domain, params[name]) if name in params else 0.5


def _errors(generation: Sequence[Outcome]) -> list[float]:
    """Only ranks matter; a failed trial is last, but a number."""
    known = [o.error for o in generation if o.error is not None and np.isfinite(o.error)]
    worst = max(known, default=0.0) + 1.0
    return [o.error if o.error is not None and np.isfinite(o.error) else worst for o in generation]
