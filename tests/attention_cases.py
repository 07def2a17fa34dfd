"""What the tests of the fused kernels share: crystals of every shape as image lists, random inputs of the
attention sum, and the comparison of two kernels in value and gradient.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crystalformer.layers.radial_basis import GaussianBasis
from crystalformer.model.images import list_images, list_images_within

SIGMA_MAX = 1.98
SHAPES = ["plain", "skewed", "long", "tiny", "sparse", "left-handed"]


@pytest.fixture
def image_list():
    """(positions, lattice) of each crystal, range rule (box or, as a float, radius), K -> ImageList."""

    def build(crystals, rule, basis=64, dtype=torch.float64):
        positions = torch.tensor(np.concatenate([p for p, _ in crystals]), dtype=dtype)
        lattices = torch.tensor(np.stack([lattice for _, lattice in crystals]), dtype=dtype)
        sizes = torch.tensor([len(p) for p, _ in crystals])
        functions = GaussianBasis(basis, 14.0) if basis else None
        make = list_images_within if isinstance(rule, float) else list_images
        return make(positions, lattices, sizes, rule, SIGMA_MAX, functions)

    return build


@pytest.fixture
def cell():
    """Random (positions, lattice): atoms, seed, shape of the cell; 15 Å^3 per atom."""

    def build(atoms, seed=0, shape="plain"):
        rng = np.random.default_rng(seed)
        lattice = np.eye(3) + rng.uniform(-0.25, 0.25, (3, 3))
        volume = 15.0 * atoms
        if shape == "skewed":
            lattice = np.array([[1, 0, 0], [2, 1, 0], [-1, 2, 1]]) @ lattice
        elif shape == "long":
            lattice = np.diag([1.0, 1.0, 12.0]) @ lattice
        elif shape == "tiny":
            volume = 4.0 * atoms
        elif shape == "sparse":
            volume = 900.0 * atoms
        lattice *= (volume / abs(np.linalg.det(lattice))) ** (1 / 3)
        if shape == "left-handed":
            lattice = lattice[[1, 0, 2]]
        return rng.uniform(-0.3, 1.3, (atoms, 3)) @ lattice, lattice

    return build


@pytest.fixture
def inputs():
    """q, k, v, a and gradients of O and B, float64, for some atoms."""

    def build(atoms, heads=8, width=16, basis=64, seed=0):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        sigma = 0.4 + 1.5 * torch.rand(atoms, heads, generator=generator, dtype=torch.float64)
        qkva = [1.5 * normal(atoms, heads, width) for _ in range(3)] + [-0.5 / sigma**2]
        return qkva, (normal(atoms, heads, width), normal(atoms, heads, basis))

    return build


def results(attend, images, qkva, grads, dtype=torch.float64):
    """O, B and the gradients of q, k, v and a."""
    qkva = [x.to(dtype).requires_grad_() for x in (x.detach() for x in qkva)]
    outputs = [x for x in attend(*qkva, cast(images, dtype)) if x is not None]
    gradients = torch.autograd.grad(outputs, qkva, [g.to(dtype) for g in grads[: len(outputs)]])
    return [x.detach() for x in outputs] + list(gradients)


def cast(images, dtype):
    reach = None if images.reach is None else images.reach.to(dtype)
    return replace(images, distance=images.distance.to(dtype), reach=reach)


def assert_close(found, expected, tolerance):
    names = ("O", "B", "dq", "dk", "dv", "da") if len(found) == 6 else ("O", "dq", "dk", "dv", "da")
    for name, ours, theirs in zip(names, found, expected, strict=True):
        scale = max(theirs.abs().max().item(), 1.0)  # for one atom alone, some gradients are 0
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale, err_msg=name)
