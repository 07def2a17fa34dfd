"""What a lattice sum leaves out beyond a radius.

At equal q_i.k_j an image weighs exp(-r^2 / 2 sigma^2), and the atom itself, at r = 0, weighs 1. In units of
sqrt(2) sigma, with R the radius and rho the smallest distance between two atoms (images included), all images
of all atoms beyond R together weigh at most

    eps = (3/2) (2/rho)^3 Gamma(3/2, (R - rho/2)^2)   for R >= sqrt(3/2) + rho/2.

Proof: exp(-x^2) is subharmonic for |x|^2 >= 3/2, so at an atom it is at most its mean over the ball of radius
rho/2 around the atom. These balls do not overlap and lie outside of R - rho/2, so the sum is at most the
integral of exp(-x^2) over that outside, divided by the volume of one ball. (The paper, appendix "Bound",
sums over the images of one pair in this way, with the shortest lattice vector as rho.)

Since the kept images weigh at least 1, eps bounds the part of the attention that is left out: relative to the
whole, for every atom and head, as sigma < sigma_max and the sum grows with sigma. Queries that prefer some
atoms raise it by at most exp(max_j q_i.k_j - q_i.k_i), over sqrt(d_K).
"""

import math

# Å; no two atoms of a crystal are nearer (H2: 0.74 Å)
CLOSEST = 0.7
FINEST = 1e-15  # tolerance; finer ones are below the rounding of float64


def truncation_bound(radius: float, sigma: float, spacing: float = CLOSEST) -> float:
    """eps above, for a radius, the largest sigma and the smallest distance of two atoms, all in Å.

    Infinite where the radius is too small for the bound to hold.
    """
    unit = math.sqrt(2) * sigma
    outer, rho = radius / unit, spacing / unit
    if outer < math.sqrt(1.5) + rho / 2:
        return math.inf
    return 1.5 * (2 / rho) ** 3 * _upper_gamma(outer - rho / 2)


def radius_for(tolerance: float, sigma: float, spacing: float = CLOSEST) -> float:
    """The smallest radius in Å, up to 1e-6 Å, whose `truncation_bound` is at most the tolerance."""
    low, high = 0.0, 1000 * (sigma + spacing)
    while high - low > 1e-6:
        middle = (low + high) / 2
        if truncation_bound(middle, sigma, spacing) <= tolerance:
            high = middle
        else:
            low = middle
    return high


def _upper_gamma(y: float) -> float:
    """Gamma(3/2, y^2)."""
    return math.sqrt(math.pi) / 2 * math.erfc(y) + y * math.exp(-y * y)
