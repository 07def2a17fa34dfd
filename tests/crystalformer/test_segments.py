import numpy as np
import pytest
import torch

from crystalformer.layers.segments import (
    _ordered_sum,
    segment_ids,
    segment_mean,
    segment_offsets,
    segment_sum,
)


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_sums_and_means_are_those_of_each_range(shape):
    sizes = [4, 1, 7]
    values = np.random.default_rng(0).standard_normal((sum(sizes), *shape))
    parts = np.split(values, np.cumsum(sizes)[:-1])
    tensor, lengths = torch.from_numpy(values), torch.tensor(sizes)
    np.testing.assert_allclose(segment_sum(tensor, lengths), [part.sum(0) for part in parts], rtol=1e-14)
    np.testing.assert_allclose(segment_mean(tensor, lengths), [part.mean(0) for part in parts], rtol=1e-14)


def test_an_empty_range_sums_to_zero_but_has_no_mean():
    sizes = torch.tensor([2, 0, 1])
    assert segment_sum(torch.ones(3), sizes).tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match=r"sizes: expected at least 1 row in every segment, got 0"):
        segment_mean(torch.ones(3), sizes)


def test_ranges_must_cover_the_rows():
    with pytest.raises(ValueError, match=r"sizes: expected a sum of 5, the rows of values, got 4"):
        segment_sum(torch.ones(5), torch.tensor([2, 2]))


def test_ids_and_offsets_count_rows():
    sizes = torch.tensor([2, 0, 3])
    assert segment_ids(sizes).tolist() == [0, 0, 2, 2, 2]
    assert segment_offsets(sizes).tolist() == [0, 2, 2, 5]


def test_gradient_of_the_mean_is_one_over_the_size():
    values = torch.zeros(5, requires_grad=True)
    segment_mean(values, torch.tensor([1, 4])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1, 0.25, 0.25, 0.25, 0.25]


def test_the_way_of_accelerators_gives_the_same_sums_and_gradients():
    sizes = torch.tensor([3, 0, 2])
    gradients = []
    for add in (segment_sum, _ordered_sum):
        values = torch.arange(10.0).reshape(5, 2).requires_grad_()
        sums = add(values, sizes)
        assert sums.tolist() == [[6, 9], [0, 0], [14, 16]]
        (sums * torch.tensor([[1.0], [2.0], [3.0]])).sum().backward()
        assert values.grad is not None
        gradients.append(values.grad.tolist())
    assert gradients[0] == gradients[1]
