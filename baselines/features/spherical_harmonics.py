"""Real spherical harmonics, scaled so that their products are Legendre polynomials."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def legendre_harmonics(
    directions: Float[Tensor, "rows 3"], degrees: int
) -> Float[Tensor, "rows {degrees}**2"]:
    """C_lm(r) = sqrt(4π / (2l + 1)) Y_lm(r), real, so that Σ_m C_lm(a) C_lm(b) = P_l(a · b).

    A sum over pairs of directions of P_l of the angle between them becomes a product of two sums over
    directions.

    Args:
        directions: unit vectors.
        degrees: number of l, from 0.

    Returns:
        Ordered by l and then by m from -l to l.
    """
    x, y, z = directions.unbind(dim=1)
    legendre = _legendre(z, degrees)
    columns = {}
    cosine, sine = torch.ones_like(x), torch.zeros_like(x)  # of m φ, times sin(θ)^m
    for m in range(degrees):
        for degree in range(m, degrees):
            ratio = math.factorial(degree - m) / math.factorial(degree + m)
            radial = math.sqrt((1 if m == 0 else 2) * ratio) * legendre[degree, m]
            columns[degree, m] = radial * cosine
            if m:
                columns[degree, -m] = radial * sine
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
    return torch.stack([columns[place] for place in sorted(columns)], dim=1)


def _legendre(z: Tensor, degrees: int) -> dict[tuple[int, int], Tensor]:
    """(l, m) -> associated Legendre function of z, divided by (-1)^m sin(θ)^m; z (rows,)."""
    values = {}
    for m in range(degrees):
        values[m, m] = torch.full_like(z, math.prod(range(1, 2 * m, 2)))
        for degree in range(m + 1, degrees):
            value = (2 * degree - 1) * z * values[degree - 1, m]
            if degree > m + 1:
                value = value - (degree + m - 1) * values[degree - 2, m]
            values[degree, m] = value / (degree - m)
    return values


def sums_by_degree(
    values: Float[Tensor, "rows {degrees}**2 *rest"], degrees: int
) -> Float[Tensor, "rows {degrees} *rest"]:
    """Sum over m."""
    parts = values.split([2 * degree + 1 for degree in range(degrees)], dim=1)
    return torch.stack([part.sum(dim=1) for part in parts], dim=1)


def repeated_by_degree(
    values: Float[Tensor, "rows {degrees} *rest"], degrees: int
) -> Float[Tensor, "rows {degrees}**2 *rest"]:
    """The value of l for each of its m."""
    parts = values.split(1, dim=1)
    return torch.cat(
        [parts[degree].expand(-1, 2 * degree + 1, *values.shape[2:]) for degree in range(degrees)], dim=1
    )
