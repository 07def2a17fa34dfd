"""The fused max frames against the plain ones."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from direction_cases import Normal, first_images, random_directions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crystalformer.model.frames import Directions, choose_frames, max_frames, weighted_pca_frames
from crystalformer.model.kernels import cpu_frames

fused = choose_frames("max", "cpu")


def case(atoms=5, heads=8, images=12, seed=0, equal=False):
    """log w and directions of random atoms; with `equal`, some weights of an atom are the same.

    The first image of each atom has no direction, some have w = 0, and some lie opposite to others.
    """
    normal = Normal(seed)
    directions = random_directions(normal, atoms, images)
    unit = directions.unit
    unit[2::3] = -unit[1::3][: len(unit[2::3])]
    unit[first_images(directions.query)] = 0
    log_weights = normal(len(unit), heads)
    if equal:
        log_weights = log_weights.round()
    log_weights[normal(*log_weights.shape) > 1.3] = -torch.inf
    rank = torch.randperm(len(unit), generator=normal.generator)
    return log_weights, replace(directions, rank=rank)


def in_type(directions, dtype):
    return replace(directions, unit=directions.unit.to(dtype))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    atoms=st.integers(1, 6),
    heads=st.sampled_from([1, 3, 8, 11]),
    images=st.sampled_from([2, 3, 12, 40]),
    equal=st.booleans(),
    seed=st.integers(0, 999),
)
def test_agrees_with_the_plain_form(atoms, heads, images, equal, seed):
    log_weights, directions = case(atoms, heads, images, seed, equal)
    expected = max_frames(log_weights, directions)
    torch.testing.assert_close(fused(log_weights, directions), expected, rtol=0, atol=1e-14)
    single = fused(log_weights.float(), in_type(directions, torch.float32))
    assert single.dtype == torch.float32
    plain = max_frames(log_weights.float(), in_type(directions, torch.float32))
    torch.testing.assert_close(single, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_equal_weights_the_last_in_rank_is_taken(dtype):
    """Weights within a factor of exp(1e-4) are equal; a lighter one is not, whatever its rank."""
    unit = torch.eye(3, dtype=dtype)
    log_weights = torch.tensor([[0.0], [-0.5e-4], [-2e-4]], dtype=dtype)
    query = torch.zeros(3, dtype=torch.int64)
    directions = Directions(query, query, torch.tensor([3]), unit, torch.tensor([0, 1, 2]))
    [[frame]] = fused(log_weights, directions)
    assert frame.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, -1]]
    [[frame]] = fused(log_weights, replace(directions, rank=torch.tensor([1, 0, 2])))
    assert frame.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_what_lies_on_one_line_has_one_axis_and_an_atom_alone_none():
    line = torch.tensor([[0.0, 0, 1], [0, 0, -1], [0, 0, 0]])
    query = torch.tensor([0, 0, 1])
    directions = Directions(query, query, torch.tensor([2, 1]), line, torch.arange(3))
    frames = fused(torch.tensor([[0.0], [-1.0], [0.0]]), directions)
    assert frames[0, 0].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert frames[1, 0].abs().max() == 0


def test_the_bits_do_not_depend_on_threads():
    log_weights, directions = case(40, images=30)
    arguments = log_weights.float(), in_type(directions, torch.float32)
    before, runs = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            runs.append(fused(*arguments))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(run, runs[0]) for run in runs)


def test_it_is_used_where_it_can_be(monkeypatch):
    calls = []
    run = cpu_frames.fused_max_frames
    monkeypatch.setattr(cpu_frames, "fused_max_frames", lambda *x: calls.append(x) or run(*x))
    log_weights, directions = case()
    for kernel in ("auto", "cpu"):
        for frames, plain in (("max", max_frames), ("weighted-pca", weighted_pca_frames)):
            calls.clear()
            found = choose_frames(frames, kernel)(log_weights, directions)
            assert len(calls) == 1
            torch.testing.assert_close(found, plain(log_weights, directions), rtol=0, atol=1e-9)
    calls.clear()
    choose_frames("max", "auto")(log_weights.float(), directions)  # of two types
    assert not calls
    assert choose_frames("max", "reference") is max_frames
    reference = choose_frames("weighted-pca", "gpu")
    assert isinstance(reference, partial)
    assert reference.keywords == {"guides": max_frames}
