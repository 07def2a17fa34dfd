"""Linear layers by oneDNN against PyTorch's own, in all products of forward and backward pass."""

import pytest
import torch
import torch.nn.functional as F

from crystalformer.layers import linear as layer
from crystalformer.layers.linear import Linear, linear, product

needs_fast_way = pytest.mark.skipif(layer._onednn() is None, reason="needs oneDNN and AVX-512")


def forward_and_gradients(function, x, weight, bias, weights) -> list[torch.Tensor]:
    inputs = [value for value in (x, weight, bias) if value is not None]
    result = function(x, weight, bias)
    return [result.detach(), *torch.autograd.grad((result * weights).sum(), inputs)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1500, 48), (3, 500, 48), (5, 48), (0, 48), (48,)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_results_and_gradients_are_those_of_pytorch(shape, with_bias, dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(*shape, dtype=dtype, requires_grad=True)
    wide = torch.randn(32, 60, dtype=dtype, requires_grad=True)
    weight = wide[:, 7:55]  # part of a larger matrix, as edge layers have it
    bias = torch.randn(32, dtype=dtype, requires_grad=True) if with_bias else None
    weights = torch.randn(*shape[:-1], 32, dtype=dtype)
    tolerance = {"rtol": 1e-4, "atol": 1e-3} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    ours = forward_and_gradients(linear, x, weight, bias, weights)
    theirs = forward_and_gradients(F.linear, x, weight, bias, weights)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, **tolerance)


@needs_fast_way
def test_the_fast_way_is_taken_where_it_pays() -> None:
    large, small = torch.randn(2000, 64), torch.randn(20, 64)
    weight = torch.randn(64, 64, requires_grad=True)
    assert "_Linear" in type(linear(large, weight).grad_fn.next_functions[0][0]).__name__
    assert "_Linear" not in type(linear(small, weight).grad_fn).__name__
    assert "_Linear" not in type(linear(large.double(), weight.double()).grad_fn).__name__


@needs_fast_way
def test_only_the_gradients_that_are_asked_for() -> None:
    x, weight, bias = torch.randn(2000, 64), torch.randn(64, 64), torch.randn(64)
    for chosen in (x, weight, bias):
        chosen.requires_grad_()
        (grad,) = torch.autograd.grad(linear(x, weight, bias).sum(), chosen)
        assert grad.shape == chosen.shape
        chosen.requires_grad_(False)


def test_parts_of_matrices_are_copied() -> None:
    """The operation falls back to loops of its own where the rows of a matrix do not follow each other."""
    wide = torch.randn(64, 128)
    assert layer._dense(wide) is wide
    assert layer._dense(wide.T).data_ptr() == wide.data_ptr()
    assert layer._dense(wide[5:20]).data_ptr() == wide[5:].data_ptr()
    part = wide[:, :64]
    assert layer._dense(part).is_contiguous()
    assert torch.equal(layer._dense(part.T), part.T)


def test_products_of_transposed_matrices() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(700, 90), torch.randn(700, 80)
    torch.testing.assert_close(product(x.T, y.T), x.T @ y, rtol=1e-4, atol=1e-3)
    assert torch.equal(product(x[:2].T, y[:2].T), x[:2].T @ y[:2])


def test_without_the_operation_pytorch_decides(monkeypatch) -> None:
    monkeypatch.setattr(layer, "_onednn", lambda: None)
    x, weight = torch.randn(2000, 64), torch.randn(64, 64)
    assert torch.equal(linear(x, weight), F.linear(x, weight))
    assert torch.equal(product(x, weight), x @ weight.T)


def test_the_module_is_that_of_pytorch() -> None:
    torch.manual_seed(0)
    ours, theirs = Linear(64, 64), torch.nn.Linear(64, 64)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2000, 64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)
    assert torch.equal(ours(x), ours(x))
