import numpy as np
import pytest
import torch

from crystalformer.layers.radial_basis import GaussianBasis


def test_each_function_is_one_at_its_centre_and_falls_by_its_width():
    basis = GaussianBasis(64, 14.0)
    assert basis.width == 0.21875
    k = torch.arange(1, 65, dtype=torch.float64)
    np.testing.assert_allclose(basis(k * 0.21875).diagonal(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(basis((k + 1) * 0.21875).diagonal(), np.exp(-0.5), rtol=1e-11)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 2e-5)])
def test_follows_the_formula(dtype, tolerance):
    size, r_max = 5, 3.7
    r = torch.linspace(0, 8, 50, dtype=dtype)
    mu = np.arange(1, size + 1) * r_max / size
    expected = np.exp(-((r.double().numpy()[:, None] - mu) ** 2) / (2 * (r_max / size) ** 2))
    np.testing.assert_allclose(GaussianBasis(size, r_max)(r), expected, atol=tolerance)


def test_far_values_are_negligible_and_never_subnormal():
    far = GaussianBasis(64, 14.0)(torch.tensor([20.0, 200.0, 2e4]))
    assert float(far.max()) < 1e-36
    assert float(far.min()) >= torch.finfo(torch.float32).tiny


def test_is_differentiable():
    r = torch.tensor([0.0, 0.3, 1.1, 2.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(GaussianBasis(4, 2.0), r)


def test_rejects_no_functions_and_no_range():
    with pytest.raises(ValueError, match="size: expected at least 1 function, got 0"):
        GaussianBasis(0, 14.0)
    with pytest.raises(ValueError, match="r_max: expected above 0 Å, got -1"):
        GaussianBasis(8, -1)
