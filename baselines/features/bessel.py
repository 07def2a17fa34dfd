"""Radial functions made of spherical Bessel functions, as M3GNet has them."""

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import spherical_jn
from torch import Tensor


@dataclass(frozen=True)
class SphericalBesselBasis:
    """f_ln(r) = sqrt(2 / r_c³) j_l(z_ln r / r_c) / |j_{l+1}(z_ln)| with z_ln the n-th zero of j_l.

    For each l these are orthonormal on (0, r_c) with weight r², and 0 at r_c.
    J. Gasteiger, J. Groß and S. Günnemann, ICLR 2020.

    Attributes:
        degrees: number of l, from 0.
        count: number of n, from 1, for each l.
        radius: r_c in Å.
    """

    degrees: int
    count: int
    radius: float

    def __call__(self, r: Float[Tensor, " edges"]) -> Float[Tensor, "edges {self.degrees} {self.count}"]:
        """The functions, in Å^(-3/2), of distances in Å, none of them 0."""
        zeros = bessel_zeros(self.degrees, self.count)
        # In double precision: for a small argument, the recursion loses digits with every degree.
        ratio = r.double()[:, None] / self.radius
        columns = []
        for degree, row in enumerate(zeros):
            norm = math.sqrt(2 / self.radius**3) / np.abs(spherical_jn(degree + 1, row))
            z, factor = (torch.as_tensor(part, device=r.device) for part in (row, norm))
            columns.append(factor * spherical_bessel(degree, ratio * z))
        return torch.stack(columns, dim=1).to(r.dtype)


def spherical_bessel(degree: int, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """j_l(x) for l = `degree`, x > 0, by recursion from sin(x) / x."""
    sine, cosine = torch.sin(x), torch.cos(x)
    lower, value = cosine / x, sine / x  # j_{-1} and j_0
    for order in range(degree):
        lower, value = value, (2 * order + 1) / x * value - lower
    return value


@cache
def bessel_zeros(degrees: int, count: int) -> Float[np.ndarray, "{degrees} {count}"]:
    """The first `count` positive zeros of j_0, j_1, ...

    Between two zeros of j_l lies one of j_{l+1}.
    """
    from scipy.optimize import brentq  # long to import, for every process that trains any model

    zeros = math.pi * np.arange(1, count + degrees)  # of j_0
    rows = [zeros[:count]]
    for degree in range(1, degrees):
        zeros = np.array(
            [brentq(lambda x, d=degree: spherical_jn(d, x), low, high) for low, high in pairwise(zeros)]
        )
        rows.append(zeros[:count])
    return np.array(rows)


def smooth_bessel(r: Float[Tensor, " edges"], count: int, radius: float) -> Float[Tensor, "edges {count}"]:
    """Functions h_n that, with their first two derivatives, are 0 at the radius r_c.

    E. Kocer, J. K. Mason and H. Erturk, J. Chem. Phys. 150, 154102 (2019). With s(x) = sin(x) / x,

        f_n(r) = (-1)^n sqrt(2) π r_c^(-3/2) (n + 1)(n + 2) / sqrt((n + 1)² + (n + 2)²)
                 [s(π (n + 1) r / r_c) + s(π (n + 2) r / r_c)]
        e_n = n² (n + 2)² / (4 (n + 1)⁴ + 1),   d_0 = 1,   d_n = 1 - e_n / d_{n-1}
        h_0 = f_0,   h_n = (f_n + sqrt(e_n / d_{n-1}) h_{n-1}) / sqrt(d_n)

    They are orthonormal on (0, r_c) with weight r².

    Args:
        r: distances in Å, none of them 0.
        count: number of functions.
        radius: r_c in Å.

    Returns:
        In Å^(-3/2).
    """
    order = torch.arange(1, count + 2, dtype=r.dtype, device=r.device)
    x = r[:, None] * order * (math.pi / radius)
    sinc = torch.sin(x) / x
    columns: list[Tensor] = []
    before = 1.0  # d_{n-1}
    for n in range(count):
        norm = math.sqrt(2) * math.pi / radius**1.5 * (n + 1) * (n + 2) / math.hypot(n + 1, n + 2)
        f = (-1) ** n * norm * (sinc[:, n] + sinc[:, n + 1])
        e = n**2 * (n + 2) ** 2 / (4 * (n + 1) ** 4 + 1)
        d = 1 - e / before
        columns.append(f if n == 0 else (f + math.sqrt(e / before) * columns[-1]) / math.sqrt(d))
        before = d
    return torch.stack(columns, dim=1)
