"""The fused GPU kernel against the plain one in float64, in value and gradient."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from attention_cases import SHAPES, assert_close, cast, results
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crystalformer.model.kernels import gpu, reference
from crystalformer.model.kernels.dispatch import choose_kernel


def on(device, images):
    tensors = {f.name: getattr(images, f.name) for f in fields(images)}
    return replace(images, **{n: x.to(device) for n, x in tensors.items() if isinstance(x, torch.Tensor)})


def run(device, images, qkva, grads, dtype=torch.float64):
    """O, B and gradients by the GPU kernel, as CPU tensors."""
    found = results(
        gpu.attend, on(device, images), [x.to(device) for x in qkva], [g.to(device) for g in grads], dtype
    )
    return [x.cpu() for x in found]


def check(device, images, qkva, grads):
    expected = results(reference.attend, images, qkva, grads)
    assert_close(run(device, images, qkva, grads), expected, 1e-12)
    if images.reach is None:
        single = cast(cast(images, torch.float32), torch.float64)  # the same distances in both
        expected = results(reference.attend, single, qkva, grads)
        assert_close(run(device, images, qkva, grads, torch.float32), expected, 1e-5)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    shape=st.sampled_from(SHAPES),
    rule=st.sampled_from([3.0, 5.0, 0, 1, "adaptive"]),
    basis=st.sampled_from([64, 0, 5]),
    heads=st.sampled_from([(8, 16), (1, 4), (3, 6), (16, 8)]),
    seed=st.integers(0, 1000),
)
def test_random_crystals(device, image_list, cell, inputs, sizes, shape, rule, basis, heads, seed):
    if rule in (1, "adaptive"):  # the interpreter takes 16 of these images at a time
        sizes = [1 + size % 3 for size in sizes]
    images = image_list([cell(n, seed + i, shape) for i, n in enumerate(sizes)], rule, basis)
    check(device, images, *inputs(sum(sizes), *heads, basis, seed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("rule", "basis"), [(5.0, 64), (1, 0), ("adaptive", 5)])
def test_every_shape_of_cell_and_every_rule(device, image_list, cell, inputs, shape, rule, basis):
    images = image_list([cell(n, n, shape) for n in (1, 2)], rule, basis)
    check(device, images, *inputs(3, 2, 4, basis=basis))


@pytest.mark.parametrize(("heads", "width"), [(1, 256), (2, 200), (5, 3), (64, 8)])
def test_heads_of_any_number_and_width(device, image_list, cell, inputs, heads, width):
    images = image_list([cell(2)], 3.0, basis=20)
    check(device, images, *inputs(2, heads, width, basis=20))


def test_a_cell_of_100_atoms(device, image_list, cell, inputs):
    images = image_list([cell(100), cell(1)], 4.0, basis=16)
    check(device, images, *inputs(101, heads=2, width=4, basis=16))


def test_a_cell_of_500_atoms(device, image_list, cell, inputs):
    images = image_list([cell(500), cell(1)], 3.0, basis=8)
    assert (images.pair_sizes == 0).any()  # pairs without an image within the radius
    qkva, grads = inputs(501, heads=1, width=2, basis=8)
    assert_close(run(device, images, qkva, grads), results(reference.attend, images, qkva, grads), 1e-12)


def test_finite_differences(device, image_list, cell, inputs):
    for crystal, rule, basis in ((cell(2, 1), 3.0, 5), (cell(1, 2, "skewed"), "adaptive", 0)):
        images = on(device, image_list([crystal], rule, basis))
        qkva, _ = inputs(len(crystal[0]), heads=1, width=2, basis=basis)
        arguments = tuple(x.to(device).requires_grad_() for x in qkva)
        outputs = slice(None) if basis else slice(1)
        assert torch.autograd.gradcheck(lambda *x, i=images, o=outputs: gpu.attend(*x, i)[o], arguments)


def test_the_basis_reaches_its_last_function_and_beyond(device, image_list, inputs):
    """Distances from 0 to far past r_max, where every function is 0."""
    positions = np.array([[0.0, 0, 0], [13.9, 0, 0], [18.0, 0, 0], [31.0, 0, 0], [300.0, 0, 0]])
    images = image_list([(positions, np.diag([1e3, 1e3, 1e3]))], 290.0)
    qkva, grads = inputs(5)
    qkva[3] = torch.full_like(qkva[3], -1e-4)  # so wide that all of them matter
    check(device, images, qkva, grads)


@pytest.mark.parametrize("scale", [30.0, 1e3])
def test_large_logits_do_not_overflow(device, image_list, cell, inputs, scale):
    qkva, grads = inputs(4)
    qkva[0] = qkva[0] * scale
    images = image_list([cell(4)], 4.0)
    expected = results(reference.attend, images, qkva, grads)
    assert_close(run(device, images, qkva, grads), expected, 1e-11)
    assert all(x.isfinite().all() for x in run(device, images, qkva, grads, torch.float32))


def test_not_a_number_is_passed_on(device, image_list, cell, inputs):
    images = image_list([cell(3), cell(2)], 4.0)
    qkva, _ = inputs(5)
    qkva[0][1, 2, 3] = torch.nan
    averaged_v, averaged_b = gpu.attend(*(x.to(device) for x in qkva), on(device, images))
    assert averaged_v.isnan().flatten(2).any(2).nonzero().tolist() == [[1, 2]]
    assert averaged_b[1, 2].isnan().any()


def test_lists_need_not_be_symmetric(device, image_list, cell, inputs):
    """Each atom sees itself and the atom after it, which does not see it."""
    images = image_list([cell(4)], 3.0)
    query = torch.arange(4).repeat_interleave(2)
    key = torch.tensor([0, 1, 1, 2, 2, 3, 3, 3])
    distance = torch.linspace(0, 2, 8, dtype=torch.float64)
    lopsided = replace(images, offsets=torch.arange(0, 9, 2), key=key, cell=None, distance=distance)
    assert lopsided.by_key.query.equal(query)
    check(device, lopsided, *inputs(4, 2, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_bits_depend_neither_on_runs_nor_on_the_rest_of_the_batch(
    device, image_list, cell, inputs, dtype
):
    images, (qkva, grads) = image_list([cell(n, n) for n in (3, 1, 5)], 4.0), inputs(9)
    first, second = (run(device, images, qkva, grads, dtype) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))
    rows = slice(4, 9)
    alone = [x[rows] for x in qkva], [g[rows] for g in grads]
    single = run(device, image_list([cell(5, 5)], 4.0), *alone, dtype)
    assert all(torch.equal(x, y[rows]) for x, y in zip(single, first, strict=True))


def test_what_is_saved_for_backward_does_not_grow_with_the_images(device, image_list, cell, inputs):
    saved = {}
    for radius in (2.0, 5.0):
        images, (qkva, _) = on(device, image_list([cell(6)], radius)), inputs(6)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, s=sizes: s.append(x.numel()) or x, lambda x: x
        ):
            gpu.attend(*(x.to(device).requires_grad_() for x in qkva), images)
        saved[len(images.key)] = sum(sizes)
    assert len(saved) == 2
    assert len(set(saved.values())) == 1


def test_inputs_it_cannot_take_are_named(device, image_list, cell, inputs):
    images, (qkva, _) = on(device, image_list([cell(2)], 4.0)), inputs(2)
    qkva = [x.to(device) for x in qkva]
    with pytest.raises(ValueError, match=r"kernel: 'gpu' expects float32 or float64 .* got torch.float16"):
        gpu.attend(*(x.half() for x in qkva), images)
    moving = replace(images, distance=images.distance.clone().requires_grad_())
    with pytest.raises(ValueError, match="positions and lattices that need no gradient"):
        gpu.attend(*qkva, moving)


def test_the_name_leads_to_it():
    assert choose_kernel("gpu") is gpu.attend
