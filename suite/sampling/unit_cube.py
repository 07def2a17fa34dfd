"""A domain as the interval [0, 1], in which it is sampled uniformly: for samplers that only know numbers."""

import math

from suite.space.domains import Choice, Domain
from suite.space.scalars import Scalar


def value_at(domain: Domain, u: float) -> Scalar:
    """The value at u in [0, 1): every value, or every part of a range, has its share of the interval."""
    if isinstance(domain, Choice):
        return domain.values[min(int(u * len(domain.values)), len(domain.values) - 1)]
    low, high = _ends(domain)
    at = low + u * (high - low)
    return domain.clip(math.exp(at) if domain.log else at)


def position(domain: Domain, value: Scalar) -> float:
    """The middle of the share of a value, the inverse of `value_at`."""
    if isinstance(domain, Choice):
        return (domain.values.index(value) + 0.5) / len(domain.values)
    assert isinstance(value, int | float)
    low, high = _ends(domain)
    if low == high:
        return 0.5
    return ((math.log(value) if domain.log else float(value)) - low) / (high - low)


def _ends(domain: Domain) -> tuple[float, float]:
    """The interval whose points round to the domain's values, in the logarithm where that is asked for."""
    assert not isinstance(domain, Choice)
    half = (domain.step or 0) / 2
    low, high = domain.ends()[0] - half, domain.ends()[1] + half
    return (math.log(low), math.log(high)) if domain.log else (low, high)
