"""The annotated shapes are executed in the tests: a wrong one is caught where it enters."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from crystalformer.data.capacity import ladder_for
from crystalformer.layers.segments import segment_sum
from crystalformer.model.attention import add_encoding
from crystalformer.model.sigma import DecayRate


def test_axes_must_agree() -> None:
    values, basis, encoding = torch.ones(5, 8, 16), torch.ones(5, 8, 64), torch.ones(8, 16, 64)
    assert add_encoding(values, basis, encoding).shape == (5, 8, 16)
    with pytest.raises(TypeCheckError, match="value_encoding"):
        add_encoding(values, basis, encoding.transpose(1, 2))


def test_a_method_is_checked() -> None:
    with pytest.raises(TypeCheckError, match="heads"):
        DecayRate(heads=8, head_width=16, r0=1.4, a=0.1, b=0.5).rho(torch.ones(5, 128))


def test_fields_of_a_batch_must_agree(make_batch, random_crystal) -> None:
    batch = make_batch(random_crystal(np.random.default_rng(0), 3, 4.0))
    with pytest.raises(TypeCheckError, match="positions"):
        replace(batch, positions=batch.positions[1:])


def test_arrays_are_checked_as_well() -> None:
    with pytest.raises(TypeCheckError, match="images"):
        ladder_for(np.arange(1, 4), np.arange(1, 5), 2)


def test_kinds_of_numbers_are_checked() -> None:
    with pytest.raises(TypeCheckError, match="sizes"):
        segment_sum(torch.ones(5, 2), torch.tensor([2.0, 3.0]))
