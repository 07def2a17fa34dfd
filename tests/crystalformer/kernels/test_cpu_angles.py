"""The fused averages of the angular basis against the plain ones in float64, in value and gradient."""

from dataclasses import replace

import pytest
import torch
from direction_cases import Normal, first_images, random_directions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crystalformer.model.angles import AngularBasis, average_angles, choose_average
from crystalformer.model.kernels import cpu_angles
from crystalformer.model.kernels.cpu_angles import AverageAngles, step_of

BASES = [(64, 4.0), (16, 1.0), (5, 0.5), (2, 1.0), (10, 30.0), (33, 2.0), (9, 0.7)]


def case(atoms=5, heads=8, images=12, size=64, seed=0):
    """log p, frames and directions of random atoms, and a gradient of A.

    The first image of each atom has no direction, and some have p = 0.
    """
    normal = Normal(seed)
    directions = random_directions(normal, atoms, images)
    directions.unit[-1] = torch.tensor([0.0, 0, 1])
    frames = torch.linalg.qr(normal(atoms, heads, 3, 3)).Q
    frames[0, 0] = torch.eye(3)  # with the last two, cosines of exactly 1 and 0
    frames[-1, -1] = torch.eye(3).flip(0)
    logits = 3 * normal(len(directions.query), heads)
    logits[normal(*logits.shape) > 1.3] = -torch.inf
    logits[first_images(directions.query)] = 0.0
    parts = logits.split(directions.counts.tolist())
    log_weights = torch.cat([part.log_softmax(0) for part in parts])
    return log_weights, frames, directions, normal(atoms, heads, 3, size)


def cast(directions, dtype):
    return replace(directions, unit=directions.unit.detach().to(dtype, copy=True))


def results(average, log_weights, frames, directions, basis, gradient, dtype=torch.float64):
    log_weights = log_weights.to(dtype).requires_grad_()
    averages = average(log_weights, frames.to(dtype), cast(directions, dtype), basis)
    (slope,) = torch.autograd.grad(averages, log_weights, gradient.to(dtype))
    return averages.detach().double(), slope.double()


def fused(log_weights, frames, directions, basis):
    return AverageAngles.apply(
        log_weights, frames, directions.counts, directions.unit, basis.size, basis.width
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    atoms=st.integers(1, 6),
    heads=st.sampled_from([1, 3, 8, 16, 11]),
    basis=st.sampled_from(BASES),
    seed=st.integers(0, 999),
)
def test_agrees_with_the_plain_form(atoms, heads, basis, seed):
    log_weights, frames, directions, gradient = case(atoms, heads, size=basis[0], seed=seed)
    arguments = frames, directions, AngularBasis(*basis), gradient
    exact = results(average_angles, log_weights, *arguments)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        found = results(fused, log_weights.to(dtype).double(), *arguments, dtype)
        for ours, theirs in zip(found, exact, strict=True):
            scale = max(1.0, theirs.abs().max().item())
            torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(
    ("size", "width"),
    [(2, 0.5), (2, 30.0), (16, 0.7), (16, 1.0), (64, 1.0), (64, 2.0), (64, 4.0), (200, 2.0), (200, 30.0)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_image_gives_the_basis_itself(size, width, dtype):
    """At every angle: no function is lost where the first of its group is below the smallest number."""
    assert step_of(size, width)
    cosine = torch.linspace(-1, 1, 301, dtype=torch.float64)
    unit = torch.stack([cosine, (1 - cosine**2).sqrt(), torch.zeros(301)], 1).to(dtype)
    frames, counts = torch.eye(3, dtype=dtype).expand(301, 1, 3, 3), torch.ones(301, dtype=torch.int64)
    found = AverageAngles.apply(torch.zeros(301, 1, dtype=dtype), frames, counts, unit, size, width)
    centres = torch.linspace(-1, 1, size, dtype=torch.float64)
    spacing = width * 2 / (size - 1)
    expected = torch.exp(-((unit[:, 0].double()[:, None] - centres) ** 2) / (2 * spacing**2))
    tolerance = 3e-6 * max(1, size / 64) if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(found[:, 0, 0].double(), expected, rtol=0, atol=tolerance)


def test_finite_differences():
    log_weights, frames, directions, _ = case(3, 3, size=5)
    log_weights = log_weights.clamp(min=-5).requires_grad_()  # finite, to be moved
    basis = AngularBasis(5, 0.7)
    assert torch.autograd.gradcheck(lambda x: fused(x, frames, directions, basis), (log_weights,))


def test_the_bits_do_not_depend_on_threads_or_runs():
    log_weights, frames, directions, gradient = case(40, images=30)
    arguments = log_weights, frames, directions, AngularBasis(64, 4.0), gradient, torch.float32
    before, runs = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            runs.append(results(fused, *arguments))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(x, y) for run in runs[1:] for x, y in zip(run, runs[0], strict=True))


def test_not_a_number_is_passed_on():
    log_weights, frames, directions, gradient = case(4, 3)
    log_weights[2, 1] = torch.nan
    directions.unit[2] = torch.tensor([0.0, 1, 0])
    averages, slope = results(fused, log_weights, frames, directions, AngularBasis(64, 4.0), gradient)
    atom = int(directions.query[2])
    assert averages[atom, 1].isnan().all()
    assert averages.isnan().flatten(2).any(2).sum() == 1
    assert slope.isnan().nonzero().tolist() == [[2, 1]]


def test_it_is_used_where_it_can_be(monkeypatch):
    calls = []
    apply = cpu_angles.AverageAngles.apply
    monkeypatch.setattr(cpu_angles.AverageAngles, "apply", lambda *x: calls.append(x) or apply(*x))
    log_weights, frames, directions, _ = case()
    average, wide = choose_average("auto"), AngularBasis(64, 4.0)
    expected = average_angles(log_weights, frames, directions, wide)
    for dtype, used in ((torch.float64, 1), (torch.float32, 2)):
        result = average(log_weights.to(dtype), frames.to(dtype), cast(directions, dtype), wide)
        torch.testing.assert_close(result.double(), expected, rtol=0, atol=1e-5)
        assert len(calls) == used
    assert step_of(64, 0.3) == 0
    average(log_weights, frames, directions, AngularBasis(64, 0.3))
    moving = cast(directions, torch.float64)
    moving.unit.requires_grad_()
    average(log_weights, frames, moving, wide)
    assert len(calls) == 2
    assert choose_average("reference") is average_angles
