"""`grid`: every combination of the values of finite domains, each once."""

import math
from collections.abc import Mapping

from suite.space.domains import Choice, Domain, Float
from suite.space.scalars import Scalar


def grid_size(domains: Mapping[str, Domain]) -> float:
    """Number of combinations, infinite where a domain is an interval."""
    return math.prod(domain.size() for domain in domains.values())


def grid_point(domains: Mapping[str, Domain], index: int) -> dict[str, Scalar]:
    """Combination `index` = 0, 1, ... below `grid_size`: the last parameter changes fastest.

    Raises:
        IndexError: there are not that many combinations.
    """
    if not 0 <= index < grid_size(domains):
        raise IndexError(f"index: expected below {grid_size(domains):g}, got {index}")
    point = {}
    for name, domain in reversed(list(domains.items())):
        index, place = divmod(index, int(domain.size()))
        point[name] = _value(domain, place)
    return {name: point[name] for name in domains}


def _value(domain: Domain, place: int) -> Scalar:
    if isinstance(domain, Choice):
        return domain.values[place]
    if isinstance(domain, Float):
        return domain.low if domain.step is None else domain.clip(domain.low + place * domain.step)
    return domain.low + place * domain.step
