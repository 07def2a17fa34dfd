import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalformer.layers.radial_basis import GaussianBasis
from crystalformer.model.images import list_images
from crystalformer.model.tiles import TILE_OVERHEAD, group_crystals

SIGMA_MAX = 1.98


def images_of(sizes, lattice_range):
    rng = np.random.default_rng(0)
    lattices = [np.eye(3) * rng.uniform(2, 7) + rng.uniform(-0.5, 0.5, (3, 3)) for _ in sizes]
    positions = np.concatenate(
        [rng.uniform(0, 1, (n, 3)) @ cell for n, cell in zip(sizes, lattices, strict=True)]
    )
    arrays = torch.from_numpy(positions), torch.from_numpy(np.stack(lattices)), torch.tensor(sizes)
    return list_images(*arrays, lattice_range, SIGMA_MAX, GaussianBasis(4, 6.0))


def test_tiles_hold_each_image_once_and_padding_weighs_nothing():
    images = images_of([3, 1, 2, 9, 1], "adaptive")
    tiles = images.tiles
    assert len(tiles.tiles) > 1
    held = torch.cat([tile.squared.flatten() for tile in tiles.tiles])
    weights = torch.exp(-held / (2 * SIGMA_MAX**2))
    real = held < 1e5
    np.testing.assert_allclose(held[real].sort()[0], images.distance.square().sort()[0], rtol=1e-14)
    assert not real.all()
    assert (weights[~real] == 0).all()


def test_rows_of_a_tile_belong_to_their_atom_and_key():
    images = images_of([2, 5], 1)
    query = torch.repeat_interleave(torch.arange(7), images.offsets.diff())
    identity = torch.arange(1.0, 8.0, dtype=torch.float64)
    for tile, numbers in zip(images.tiles.tiles, images.tiles.pad(identity), strict=True):
        for c, i, j in np.ndindex(*numbers.shape, numbers.shape[1]):
            atom, key = int(numbers[c, i]) - 1, int(numbers[c, j]) - 1
            found = tile.squared[c, i, 0, j]
            found = found[found < 1e5].sort()[0]
            same = (query == atom) & (images.key == key)
            expected = images.distance[same].square().sort()[0]
            assert len(found) == len(expected)
            assert len(expected) > 0 or atom < 0 or key < 0
            np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_unpadding_undoes_padding():
    tiles = images_of([4, 1, 2, 2, 6], 1).tiles
    rows = torch.randn(15, 2, 3, dtype=torch.float64)
    assert torch.equal(tiles.unpad(tiles.pad(rows)), rows)


def test_the_basis_is_that_of_the_distances():
    for tile in (tiles := images_of([3, 1], 2).tiles).tiles:
        assert tile.basis is not None
        expected = GaussianBasis(4, 6.0)(tile.squared.sqrt())
        np.testing.assert_allclose(tile.basis.flatten(), expected.flatten(), atol=1e-12)
    assert tiles.slots.unique().numel() == 4


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 400)), min_size=1, max_size=40))
def test_every_crystal_is_in_one_tile_and_padding_is_bounded(crystals):
    sizes, images = zip(*crystals, strict=True)
    groups = group_crystals(sizes, images)
    assert sorted(c for group in groups for c in group) == list(range(len(crystals)))
    needed = sum(n * n * s for n, s in crystals)
    padded = sum(len(g) * max(sizes[c] for c in g) ** 2 * max(images[c] for c in g) for g in groups)
    assert padded <= needed + TILE_OVERHEAD * (len(crystals) - len(groups))
