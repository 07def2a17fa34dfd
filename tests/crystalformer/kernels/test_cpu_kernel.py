"""The fused kernel against the plain one in float64, in value and gradient."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from attention_cases import SHAPES, assert_close, cast, results
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crystalformer.model.kernels import cpu, reference, tables, team


def check(images, qkva, grads):
    expected = results(reference.attend, images, qkva, grads)
    assert_close(results(cpu.attend, images, qkva, grads), expected, 1e-12)
    single = cast(cast(images, torch.float32), torch.float64)  # the same distances in both
    if images.reach is None:
        expected = results(reference.attend, single, qkva, grads)
        assert_close(results(cpu.attend, images, qkva, grads, torch.float32), expected, 1e-5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    shape=st.sampled_from(SHAPES),
    rule=st.sampled_from([3.0, 6.93, 0, 1, "adaptive"]),
    basis=st.sampled_from([64, 0, 5]),
    heads=st.sampled_from([(8, 16), (1, 4), (3, 6), (16, 8)]),
    seed=st.integers(0, 1000),
)
def test_random_crystals(image_list, cell, inputs, sizes, shape, rule, basis, heads, seed):
    if rule in (1, "adaptive"):  # the reference has a padded tensor of all of these images
        sizes = [1 + size % 8 for size in sizes]
    images = image_list([cell(n, seed + i, shape) for i, n in enumerate(sizes)], rule, basis)
    check(images, *inputs(sum(sizes), *heads, basis, seed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", [6.93, 2, "adaptive"])
@pytest.mark.parametrize("basis", [64, 0])
def test_every_shape_of_cell_and_every_rule(image_list, cell, inputs, shape, rule, basis):
    images = image_list([cell(n, n, shape) for n in (1, 2, 5)], rule, basis)
    check(images, *inputs(8, basis=basis))


def test_a_cell_of_500_atoms(image_list, cell, inputs):
    images = image_list([cell(500), cell(1)], 4.5, basis=16)
    assert (images.pair_sizes == 0).any()  # pairs without an image within the radius
    check(images, *inputs(501, heads=2, width=4, basis=16))


def test_finite_differences(image_list, cell, inputs):
    images = image_list([cell(2, 1), cell(3, 2, "skewed")], 4.0, basis=5)
    (q, k, v, a), _ = inputs(5, heads=3, width=4, basis=5)
    arguments = tuple(x.requires_grad_() for x in (q, k, v, a))
    assert torch.autograd.gradcheck(lambda *x: cpu.attend(*x, images), arguments)
    images = image_list([cell(2, 1)], "adaptive", basis=0)
    arguments = tuple(x[:2].detach().requires_grad_() for x in (q, k, v, a))
    assert torch.autograd.gradcheck(lambda *x: cpu.attend(*x, images)[0], arguments)


def test_the_basis_reaches_its_last_function_and_beyond(image_list, inputs):
    """Distances from 0 to far past r_max, where every function is 0."""
    positions = np.array([[0.0, 0, 0], [13.9, 0, 0], [18.0, 0, 0], [31.0, 0, 0], [300.0, 0, 0]])
    images = image_list([(positions, np.diag([1e3, 1e3, 1e3]))], 290.0)
    qkva, grads = inputs(5)
    qkva[3] = torch.full_like(qkva[3], -1e-4)  # so wide that all of them matter
    check(images, qkva, grads)


@pytest.mark.parametrize("scale", [30.0, 1e3])
def test_large_logits_do_not_overflow(image_list, cell, inputs, scale):
    qkva, grads = inputs(6)
    qkva[0] = qkva[0] * scale
    images = image_list([cell(6)], 5.0)
    expected = results(reference.attend, images, qkva, grads)
    assert_close(results(cpu.attend, images, qkva, grads), expected, 1e-11)
    found = results(cpu.attend, images, qkva, grads, torch.float32)
    assert all(x.isfinite().all() for x in found)


def test_not_a_number_is_passed_on(image_list, cell, inputs):
    images = image_list([cell(3), cell(2)], 5.0)
    qkva, _ = inputs(5)
    qkva[0][1, 2, 3] = torch.nan
    for dtype in (torch.float32, torch.float64):
        averaged_v, averaged_b = cpu.attend(*(x.to(dtype) for x in qkva), cast(images, dtype))
        wrong = averaged_v.isnan().flatten(2).any(2)
        assert wrong.nonzero().tolist() == [[1, 2]]
        assert averaged_b[1, 2].isnan().any()
    distance = images.distance.clone()
    distance[3] = torch.nan
    assert cpu.attend(*inputs(5)[0], replace(images, distance=distance))[0].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_bits_do_not_depend_on_threads_runs_or_the_rest_of_the_batch(image_list, cell, inputs, dtype):
    crystals = [cell(n, n) for n in (3, 17, 1, 8, 2, 200)]  # the last one is divided
    images = image_list(crystals, 5.5)
    qkva, grads = inputs(231)
    before = torch.get_num_threads()
    try:
        runs = []
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            runs.append(results(cpu.attend, images, qkva, grads, dtype))
    finally:
        torch.set_num_threads(before)
    for run in runs[1:]:
        assert all(torch.equal(x, y) for x, y in zip(run, runs[0], strict=True))
    for crystal, rows in ((3, slice(21, 29)), (5, slice(31, 231))):
        alone = image_list(crystals[crystal : crystal + 1], 5.5)
        single = results(cpu.attend, alone, [x[rows] for x in qkva], [g[rows] for g in grads], dtype)
        assert all(torch.equal(x, y[rows]) for x, y in zip(single, runs[0], strict=True))


def test_threads_share_a_large_crystal(image_list, cell, inputs, monkeypatch):
    images, (qkva, _) = image_list([cell(130)], 4.0), inputs(130)
    teams = []

    def run(function, argument, threads):
        teams.append(threads)
        team.run_in_threads(function, argument, threads)

    monkeypatch.setattr(tables, "run_in_threads", run)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    averaged_v, _ = cpu.attend(*(x.requires_grad_() for x in qkva), images)
    averaged_v.sum().backward()
    assert teams == [2, 2]


def test_what_is_saved_for_backward_does_not_grow_with_the_images(image_list, cell, inputs):
    saved = {}
    for radius in (3.0, 9.0):
        images = image_list([cell(40)], radius)
        qkva, _ = inputs(40)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, s=sizes: s.append(x.numel()) or x, lambda x: x
        ):
            cpu.attend(*(x.requires_grad_() for x in qkva), images)
        saved[len(images.key)] = sum(sizes)
    assert len(saved) == 2
    assert len(set(saved.values())) == 1
    assert saved.popitem()[1] <= 40 * 8 * (4 * 16 + 64 + 3)


def test_inputs_it_cannot_take_are_named(image_list, cell, inputs):
    images = image_list([cell(2)], 4.0)
    qkva, _ = inputs(2)
    with pytest.raises(
        ValueError, match=r"kernel: 'cpu' expects float32 or float64 .* got torch.float16 on cpu"
    ):
        cpu.attend(*(x.half() for x in qkva), images)
    moving = replace(images, distance=images.distance.clone().requires_grad_())
    with pytest.raises(ValueError, match="positions and lattices that need no gradient"):
        cpu.attend(*qkva, moving)
