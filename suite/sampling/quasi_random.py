"""`quasi-random`: points of a scrambled Sobol sequence, which fill a space more evenly than random ones."""

from collections.abc import Mapping

from scipy.stats import qmc

from suite.sampling.unit_cube import value_at
from suite.space.domains import Domain
from suite.space.scalars import Scalar


def quasi_random(domains: Mapping[str, Domain], seed: int, index: int) -> dict[str, Scalar]:
    """Values of point `index` = 0, 1, ... of the sequence of this seed (Owen 1998: scrambled)."""
    sequence = qmc.Sobol(len(domains), scramble=True, rng=seed)
    if index:
        sequence.fast_forward(index)
    point = sequence.random(1)[0]
    return {
        name: value_at(domain, float(u)) for (name, domain), u in zip(domains.items(), point, strict=True)
    }
