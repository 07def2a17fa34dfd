import numpy as np
import pytest
import torch

from crystalformer.model.sigma import DecayRate

R0, A, B = 1.4, 0.1, 0.5


def sigma_at(x):
    """sigma of x = (q.w - m) / s, through one head of one feature with w = 1, m = 0, s = 1."""
    decay = DecayRate(1, 1, R0, A, B).double()
    decay.load_state_dict({"weight": torch.ones(1, 1), "mean": torch.tensor(0.0), "std": torch.tensor(1.0)})
    q = torch.tensor(x, dtype=torch.float64).reshape(-1, 1, 1)
    return (-2 * decay(q)).rsqrt().detach().flatten().numpy()


def test_an_average_query_has_sigma_r0():
    assert sigma_at([0.0])[0] == pytest.approx(1.4)


def test_the_inverse_square_is_linear_above_the_average_and_bounded_below_it():
    x = np.array([1.0, 5.0, 40.0])
    np.testing.assert_allclose(R0**2 / sigma_at(x) ** 2, 1 + A * x, rtol=1e-12)
    np.testing.assert_allclose(R0**2 / sigma_at(-x) ** 2, 1 + B * (np.exp(-A * x / B) - 1), rtol=1e-12)
    assert sigma_at([-1e4])[0] == pytest.approx(R0 / np.sqrt(B))


def test_statistics_are_mean_and_unbiased_deviation_over_atoms_and_heads():
    torch.manual_seed(0)
    decay = DecayRate(3, 4, R0, A, B)
    torch.nn.init.normal_(decay.weight)
    q = torch.randn(7, 3, 4)
    decay.calibrate(q)
    values = (q * decay.weight).sum(-1).detach().numpy()
    assert decay.mean.item() == pytest.approx(values.mean(), rel=1e-5)
    assert decay.std.item() == pytest.approx(values.std(ddof=1), rel=1e-5)
    assert not decay.mean.requires_grad
