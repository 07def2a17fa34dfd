"""Configurations by which a search space is tried before anything starts."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping

from suite.space.domains import Domain
from suite.space.scalars import Scalar

MOST_COMBINATIONS = 2000
SAMPLES = 200


def trial_points(
    domains: Mapping[str, Domain], first: Mapping[str, Scalar], combined: bool = True
) -> Iterator[dict[str, Scalar]]:
    """Configurations to try: one parameter changed at a time and, where changes are combined in the search,
    combinations of ends and a fixed random sample.
    """
    for name, domain in domains.items():
        for value in domain.probes():
            yield {**first, name: value}
    if not combined:
        return
    ends = {name: domain.ends() for name, domain in domains.items()}
    if math.prod(len(values) for values in ends.values()) <= MOST_COMBINATIONS:
        for combination in itertools.product(*ends.values()):
            yield dict(zip(ends, combination, strict=True))
    rng = random.Random(0)
    for _ in range(SAMPLES):
        yield {name: domain.sample(rng) for name, domain in domains.items()}
