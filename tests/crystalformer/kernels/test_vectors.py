"""The vector operations against NumPy."""

import numpy as np
import pytest
from numba import njit

from crystalformer.model.kernels.vector_math import exp_below_zero, gaussians
from crystalformer.model.kernels.vectors import LANES, load, store, total, transpose


@njit
def exponentials(x, y):
    for i in range(0, len(x), LANES):
        store(y, i, exp_below_zero(load(x, i)))


@njit
def bells(x, y):
    for i in range(len(x)):
        store(y, 2 * LANES * i, gaussians(x[i]))


@njit
def turned(x, y):
    a, b, c, d = load(x, 0), load(x, 8), load(x, 16), load(x, 24)
    e, f, g, h = load(x, 32), load(x, 40), load(x, 48), load(x, 56)
    rows = transpose(a, b, c, d, e, f, g, h)
    for i in range(LANES):
        store(y, LANES * i, rows[i])


@njit
def sums(x):
    return total(load(x, 0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials_are_good_to_the_last_digits(dtype):
    x = -np.concatenate([np.linspace(0, 1, 4000), np.linspace(1, 68, 4000)]).astype(dtype)
    y = np.empty_like(x)
    exponentials(x, y)
    expected = np.exp(x.astype(np.longdouble))
    assert np.abs(y / expected - 1).max() < 3 * np.finfo(dtype).eps
    assert y[0] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials_of_the_extremes(dtype):
    x = np.array([-1e5, -np.inf, np.nan, -0.0, 0.0, -1e-30, 1e-6, -1e30], dtype=dtype)
    y = np.empty_like(x)
    exponentials(x, y)
    np.testing.assert_allclose(y, [0, 0, np.nan, 1, 1, 1, 1 + 1e-6, 0], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaussians_follow_their_formula(dtype):
    x = np.array([-7.0, -5.3, 0.0, 2.5, 100.0], dtype=dtype)
    y = np.empty(len(x) * 2 * LANES, dtype)
    bells(x, y)
    expected = np.exp(-((x[:, None].astype(float) + np.arange(2 * LANES)) ** 2) / 2).ravel()
    np.testing.assert_allclose(y, expected, rtol=60 * np.finfo(dtype).eps, atol=1e-29)


def test_transpose_and_total():
    x = np.arange(64.0)
    y = np.empty_like(x)
    turned(x, y)
    np.testing.assert_array_equal(y.reshape(8, 8), x.reshape(8, 8).T)
    assert sums(x) == 28
