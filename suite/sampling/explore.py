"""`explored`: what population based training tries next to values that work."""

import random
from collections.abc import Mapping

from crystalformer.training.config import CHANGEABLE
from suite.space.domains import Choice, Domain
from suite.space.model_space import ModelSpace
from suite.space.scalars import Scalar, is_number

FACTORS = (0.8, 1.2)  # Jaderberg et al., arXiv:1711.09846
_ATTEMPTS = 20


def explored(
    params: Mapping[str, Scalar], model: ModelSpace, resample: float, epochs: int, rng: random.Random
) -> dict[str, Scalar]:
    """Values in which what may change during training has changed.

    Each is drawn anew with probability `resample`, else multiplied by 0.8 or 1.2; steps and choices go to a
    neighbour. A combination that the configuration refuses is tried again; in the end nothing changes.
    """
    names = [name for name in params if name in CHANGEABLE and name in model.domains]
    for _ in range(_ATTEMPTS):
        changed = {name: _moved(model.domains[name], params[name], resample, rng) for name in names}
        try:
            model.resolve({**params, **changed}, epochs)
        except ValueError:
            continue
        return {**params, **changed}
    return dict(params)


def _moved(domain: Domain, value: Scalar, resample: float, rng: random.Random) -> Scalar:
    if rng.random() < resample:
        return domain.sample(rng)
    up = rng.random() < 0.5
    if isinstance(domain, Choice):
        return _neighbour(domain, value, up)
    assert is_number(value)
    moved = domain.clip(value * FACTORS[up])
    if moved != value or not domain.step:
        return moved
    return domain.clip(value + (domain.step if up else -domain.step))


def _neighbour(domain: Choice, value: Scalar, up: bool) -> Scalar:
    place = domain.values.index(value) + (1 if up else -1)
    return domain.values[min(max(place, 0), len(domain.values) - 1)]
