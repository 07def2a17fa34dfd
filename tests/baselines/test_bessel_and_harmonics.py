"""Spherical Bessel functions and harmonics against SciPy and what defines them."""

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre, spherical_jn

from baselines.features.bessel import SphericalBesselBasis, bessel_zeros, smooth_bessel, spherical_bessel
from baselines.features.spherical_harmonics import legendre_harmonics, repeated_by_degree, sums_by_degree


@pytest.mark.parametrize("degree", range(5))
def test_bessel_functions_are_those_of_scipy(degree) -> None:
    x = torch.linspace(0.4, 20, 50, dtype=torch.float64)
    expected = spherical_jn(degree, x.numpy())
    np.testing.assert_allclose(spherical_bessel(degree, x), expected, rtol=1e-8, atol=1e-11)


def test_zeros_are_those_of_tables() -> None:
    """M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, Table 10.6."""
    table = [[3.141593, 6.283185, 9.424778], [4.493409, 7.725252, 10.904122], [5.763459, 9.095011, 12.322941]]
    np.testing.assert_allclose(bessel_zeros(3, 3), table, atol=5e-7)


def radial_grid(radius: float) -> tuple[torch.Tensor, np.ndarray]:
    """Points and weights of a Gauss-Legendre rule for r² dr on (0, radius)."""
    points, weights = np.polynomial.legendre.leggauss(60)
    r = radius * (points + 1) / 2
    return torch.from_numpy(r), weights * radius / 2 * r**2


def test_spherical_bessel_basis_is_orthonormal_and_ends_at_0() -> None:
    basis = SphericalBesselBasis(degrees=3, count=4, radius=5.0)
    r, weights = radial_grid(5.0)
    for values in basis(r).unbind(dim=1):
        np.testing.assert_allclose(values.T.numpy() * weights @ values.numpy(), np.eye(4), atol=1e-9)
    assert basis(torch.tensor([5.0], dtype=torch.float64)).abs().max() < 1e-12


def test_smooth_functions_are_orthonormal_and_end_smoothly() -> None:
    r, weights = radial_grid(5.0)
    values = smooth_bessel(r, 4, 5.0).numpy()
    np.testing.assert_allclose(values.T * weights @ values, np.eye(4), atol=1e-12)
    end = torch.tensor([5.0], dtype=torch.float64, requires_grad=True)
    for value in smooth_bessel(end, 4, 5.0)[0]:
        assert abs(value.item()) < 1e-14
        [slope] = torch.autograd.grad(value, end, create_graph=True)
        [curvature] = torch.autograd.grad(slope, end, retain_graph=True)
        assert abs(slope.item()) < 1e-13
        assert abs(curvature.item()) < 1e-12


def test_single_precision_costs_no_digits() -> None:
    r = torch.linspace(0.5, 5, 40, dtype=torch.float64)
    basis = SphericalBesselBasis(degrees=3, count=3, radius=5.0)
    exact = basis(r.float().double())
    np.testing.assert_allclose(basis(r.float()), exact, rtol=1e-7, atol=1e-12)


def random_directions(count: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.nn.functional.normalize(torch.randn(count, 3, dtype=torch.float64), dim=1)


def test_products_of_harmonics_are_legendre_polynomials_of_the_angle() -> None:
    a = random_directions(7)
    values = legendre_harmonics(a, 6)
    assert values.shape == (7, 36)
    products = sums_by_degree((values[:, None] * values[None]).flatten(0, 1), 6)
    for degree in range(6):
        expected = eval_legendre(degree, (a @ a.T).numpy()).reshape(-1)
        np.testing.assert_allclose(products[:, degree], expected, atol=1e-13)


def test_the_first_harmonics_are_the_known_ones() -> None:
    a = random_directions(5)
    x, y, z = a.unbind(dim=1)
    root = np.sqrt(3)
    known = [torch.ones_like(x), y, z, x, root * x * y, root * y * z, (3 * z**2 - 1) / 2, root * x * z]
    known.append(root / 2 * (x**2 - y**2))
    torch.testing.assert_close(legendre_harmonics(a, 3), torch.stack(known, dim=1))


def test_values_of_degrees_are_spread_and_summed() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0]])
    spread = repeated_by_degree(values, 3)
    assert spread.tolist() == [[1, 2, 2, 2, 3, 3, 3, 3, 3]]
    assert sums_by_degree(spread, 3).tolist() == [[1, 6, 15]]
