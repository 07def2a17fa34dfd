"""Which images are listed, and what they add up to."""

import math

import numpy as np
import pytest
import torch

from crystalformer.model.images import list_images
from crystalformer.model.kernels.reference import attend

TRICLINIC = np.array([[4.1, 0.3, -0.2], [-1.1, 3.9, 0.4], [0.7, -0.9, 4.6]])


def listed(positions, lattice, lattice_range, sigma_max, dtype=torch.float64):
    lattice = torch.tensor(np.asarray(lattice), dtype=dtype)[None]
    positions = torch.tensor(np.asarray(positions), dtype=dtype)
    return list_images(positions, lattice, torch.tensor([len(positions)]), lattice_range, sigma_max)


def reciprocal_sum(offset, lattice, sigma):
    """sum_n exp(-|offset + n.L|^2 / 2 sigma^2) by Poisson's formula: a sum over reciprocal vectors."""
    reciprocal = 2 * np.pi * np.linalg.inv(lattice).T
    m = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3, indexing="ij"), -1).reshape(-1, 3) @ reciprocal
    terms = np.exp(-(sigma**2) * (m**2).sum(1) / 2) * np.cos(m @ offset)
    return (2 * np.pi * sigma**2) ** 1.5 / abs(np.linalg.det(lattice)) * terms.sum()


@pytest.mark.parametrize("sigma", [1.0, 1.4, 2.2])
@pytest.mark.parametrize("left_handed", [False, True])
def test_gaussian_sum_equals_its_reciprocal_twin(sigma, left_handed):
    lattice = TRICLINIC[[1, 0, 2]] if left_handed else TRICLINIC
    positions = np.array([[0.0, 0, 0], [1.3, -0.4, 2.2]])
    images = listed(positions, lattice, 8, sigma)
    weights = torch.exp(-(images.distance**2) / (2 * sigma**2))
    sums = [part.sum().item() for part in weights.split(images.pair_sizes.tolist())]
    offsets = [positions[j] - positions[i] for i in range(2) for j in range(2)]
    expected = [reciprocal_sum(offset, lattice, sigma) for offset in offsets]
    np.testing.assert_allclose(sums, expected, rtol=1e-14)


@pytest.mark.parametrize("sigma", [1.0, 1.4, 2.2])
def test_attention_by_distance_alone_follows_the_reciprocal_sum(sigma):
    """With q = 0, attention to atom j is the Gaussian sum over its images: exp(alpha_ij) / Z."""
    positions = np.random.default_rng(1).uniform(-1, 5, (4, 3))
    images = listed(positions, TRICLINIC, 8, sigma)
    zero, unit = torch.zeros(4, 1, 4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)[:, None]
    a = torch.full((4, 1), -0.5 / sigma**2, dtype=torch.float64)
    weights, averaged_basis = attend(zero, zero, unit, a, images)
    sums = np.array([[reciprocal_sum(p - q, TRICLINIC, sigma) for p in positions] for q in positions])
    np.testing.assert_allclose(weights[:, 0], sums / sums.sum(1, keepdims=True), rtol=1e-13)
    assert averaged_basis is None


@pytest.mark.parametrize("lattice_range", [0, 1, 2, 3])
def test_a_fixed_box_holds_all_its_cells(lattice_range):
    # sigma_max is so wide that no image is negligible
    images = listed([[0.0, 0, 0], [1, 1, 1]], TRICLINIC, lattice_range, sigma_max=1e3)
    side = 2 * lattice_range + 1
    assert images.pair_sizes.tolist() == [side**3] * 4
    cells = {tuple(cell) for cell in images.cell[: side**3].tolist()}
    assert len(cells) == side**3
    assert max(abs(n) for cell in cells for n in cell) == lattice_range


def test_the_list_is_sorted_and_symmetric():
    positions = np.random.default_rng(2).uniform(-3, 9, (3, 3))
    images = listed(positions, TRICLINIC, 2, 1.98)
    query = torch.repeat_interleave(torch.arange(3), images.offsets.diff())
    rows = list(zip(query.tolist(), images.key.tolist(), map(tuple, images.cell.tolist()), strict=True))
    assert rows == sorted(rows)
    found = dict(zip(rows, images.distance.tolist(), strict=True))
    for (i, j, n), r in found.items():
        assert found[j, i, tuple(-c for c in n)] == pytest.approx(r, abs=1e-12)
        assert r == pytest.approx(np.linalg.norm(positions[j] + np.array(n) @ TRICLINIC - positions[i]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_only_images_below_rounding_are_left_out(dtype):
    sigma = 1.0
    kept = listed([[0.0, 0, 0]], TRICLINIC, 6, sigma, dtype)
    every = listed([[0.0, 0, 0]], TRICLINIC, 6, 1e3, dtype)
    assert len(kept.key) < len(every.key) == 13**3
    dropped = {tuple(n) for n in every.cell.tolist()} - {tuple(n) for n in kept.cell.tolist()}
    shortest = min(np.linalg.norm(np.array(n) @ TRICLINIC) for n in dropped)
    assert math.exp(-(shortest**2) / (2 * sigma**2)) <= torch.finfo(dtype).eps


@pytest.mark.parametrize("cutoff_sigma", [0.3, 0.9, 1.4, 1.7])
def test_reach_decides_the_adaptive_box(cutoff_sigma):
    """c > reach must say the same as |n_d| <= max(2, ceil(c / plane spacing d)) for each image."""
    lattice = np.array([[1.1, 0.2, 0.1], [-0.7, 2.3, 0.2], [0.4, 0.5, 6.0]])[[1, 0, 2]]  # left-handed
    images = listed([[0.0, 0, 0]], lattice, "adaptive", sigma_max=1.98)
    assert images.reach is not None
    cutoff = 3.5 * cutoff_sigma + 0.01
    volume = abs(np.linalg.det(lattice))
    sides = [np.linalg.norm(np.cross(lattice[d - 2], lattice[d - 1])) for d in range(3)]
    box = [max(2, math.ceil(cutoff * side / volume)) for side in sides]
    inside = (images.cell.abs() <= torch.tensor(box)).all(1)
    assert inside.any()
    assert not inside.all()
    assert ((images.reach < cutoff) == inside).all()


def test_long_axes_of_the_adaptive_rule_have_two_cells():
    images = listed([[0.0, 0, 0]], np.diag([50.0, 2.0, 50.0]), "adaptive", sigma_max=1e3 / 3.5)
    assert images.cell.abs().amax(0)[1] > 2
    images = listed([[0.0, 0, 0]], np.diag([50.0, 50.0, 50.0]), "adaptive", sigma_max=1.98)
    assert images.cell.tolist() == [[0, 0, 0]]  # of 125, all others weigh nothing
    assert images.reach is not None
    assert images.reach.tolist() == [0]


def test_the_smallest_box_is_never_emptied():
    """The adaptive box of a narrow head stops at two cells, wherever the images of wider heads lie."""
    images = listed([[0.0, 0, 0], [60.0, 0, 0]], np.diag([1.5, 4.0, 4.0]), "adaptive", sigma_max=1.98)
    pair = (images.key == 1) & (torch.arange(len(images.key)) < images.offsets[1])
    assert images.cell[pair].amin(0)[0] == -5
    nearest_of_two_cells = (images.cell == torch.tensor([-2, 0, 0])).all(1)
    assert (pair & nearest_of_two_cells).any()


def test_lists_are_the_same_with_cells_and_with_gradients():
    positions = np.random.default_rng(3).uniform(0, 8, (6, 3))
    arrays = torch.tensor(positions), torch.tensor(TRICLINIC)[None], torch.tensor([6])
    plain = list_images(*arrays, "adaptive", 1.98, cells=False)
    assert plain.cell is None
    with_cells = list_images(*arrays, "adaptive", 1.98)
    differentiable = list_images(arrays[0].clone().requires_grad_(), *arrays[1:], "adaptive", 1.98)
    for other in (with_cells, differentiable):
        assert other.cell is not None
        for name in ("offsets", "pair_sizes", "key", "reach"):
            assert torch.equal(getattr(plain, name), getattr(other, name)), name
        torch.testing.assert_close(plain.distance, other.distance, rtol=1e-13, atol=1e-13)
    assert differentiable.distance.requires_grad


def test_distances_are_differentiable_and_flat_at_zero():
    positions = torch.tensor([[0.0, 0, 0], [1.3, -0.4, 2.2]], dtype=torch.float64, requires_grad=True)
    lattices = torch.tensor(TRICLINIC)[None].requires_grad_()

    def total(positions, lattices):
        return list_images(positions, lattices, torch.tensor([2]), 1, 1e3).distance.square().sum()

    assert torch.autograd.gradcheck(total, (positions, lattices))
    to_itself = list_images(positions, lattices, torch.tensor([2]), 0, 1e3).distance[0]
    (gradient,) = torch.autograd.grad(to_itself, positions)
    assert gradient.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_impossible_lattices_are_named():
    with pytest.raises(ValueError, match=r"lattices: expected a volume above 0, got 0 in crystal 0"):
        listed([[0.0, 0, 0]], [[1, 0, 0], [0, 1, 0], [1, 1, 0]], 2, 1.98)
    with pytest.raises(ValueError, match=r"plane spacings of \[3.0, 0.0001, 0.1\] Å in crystal 0"):
        listed([[0.0, 0, 0]], np.diag([3.0, 1e-4, 0.1]), "adaptive", 1.98)
