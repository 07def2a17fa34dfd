"""`quasi-random`: points of a scrambled Sobol sequence, which fill a space more evenly than random ones."""

from collections.abc import Mapping

from suite.sampling.beliefs import believed_value
from suite.space.domains import Domain
from suite.space.priors import Prior
from suite.space.scalars import Scalar


def quasi_random(
    domains: Mapping[str, Domain], seed: int, index: int, priors: Mapping[str, Prior]
) -> dict[str, Scalar]:
    """Values of point `index` = 0, 1, ... of the sequence of this seed (Owen 1998: scrambled)."""
    from scipy.stats import qmc  # long to import, for searches with this sampler alone

    sequence = qmc.Sobol(len(domains), scramble=True, rng=seed)
    if index:
        sequence.fast_forward(index)
    point = sequence.random(1)[0]
    return {
        name: believed_value(domain, priors.get(name), float(u))
        for (name, domain), u in zip(domains.items(), point, strict=True)
    }
