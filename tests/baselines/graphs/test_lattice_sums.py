"""Lattice sums against constants of the literature, direct sums, and what must not change them."""

from itertools import product

import numpy as np
import pytest

from baselines.graphs import lattice_sums as module
from baselines.graphs.lattice_sums import LatticeSums, lattice_sums, reduced_cell
from crystalformer.data.crystal import Crystal

FCC = np.array([[0, 1.0, 1], [1, 0, 1], [1, 1, 0]])
PAIR = np.array([[0.3, 0.2, 0.1], [0, 0, 0]])


def of(crystal: Crystal, decay: float = 1.3) -> LatticeSums:
    return lattice_sums(crystal.lattice, crystal.frac_coords, decay)


def assert_same(a: LatticeSums, b: LatticeSums) -> None:
    for mine, other in zip(a, b, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9)


# --- known values ----------------------------------------------------------------------------------------


def test_madelung_constants() -> None:
    salt = lattice_sums(FCC, np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), 1.0).coulomb
    assert salt[0, 0] - salt[0, 1] == pytest.approx(-1.7475645946332, abs=1e-12)
    chloride = lattice_sums(np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), 1.0).coulomb
    assert (chloride[0, 0] - chloride[0, 1]) * np.sqrt(0.75) == pytest.approx(-1.76267477307099, abs=1e-12)
    # a simple cubic lattice of point charges in a uniform background
    assert chloride[0, 0] == pytest.approx(-2.83729747948062, abs=1e-12)


def test_sums_of_the_sixth_inverse_power() -> None:
    # Those of the simple and of the face-centred cubic lattice, nearest neighbours at distance 1
    origin = np.zeros((1, 3))
    assert lattice_sums(np.eye(3), origin, 1.0).london[0, 0] == pytest.approx(8.40192397, abs=1e-8)
    assert lattice_sums(FCC / np.sqrt(2), origin, 1.0).london[0, 0] == pytest.approx(14.45392104, abs=1e-8)


@pytest.mark.parametrize(
    ("a", "london", "pauli"),
    [
        (4.0, 0.0924208, {1.0: 0.423367320, 3.0: 0.0114162619}),
        (2.0, 5.91493, {1.0: 3.17132384, 3.0: 0.133744540}),
    ],
)
def test_values_of_a_cubic_cell(a, london, pauli) -> None:
    """Values that the published code's sums and direct sums agree on."""
    for decay, expected in pauli.items():
        sums = lattice_sums(a * np.eye(3), PAIR, decay)
        assert sums.pauli[0, 1] == pytest.approx(expected, rel=2e-9, abs=1e-9)
        assert sums.london[0, 1] == pytest.approx(london, rel=1e-6)


def test_direct_sums_of_skewed_cells(random_crystals) -> None:
    images = np.array(list(product(range(-12, 13), repeat=3)))
    for crystal in random_crystals(3, seed=3, smallest=2):
        sums = of(crystal)
        vectors = images @ crystal.lattice
        volume = abs(np.linalg.det(crystal.lattice))
        for i, j in product(range(len(crystal.numbers)), repeat=2):
            r = np.linalg.norm(
                (crystal.frac_coords[i] - crystal.frac_coords[j]) @ crystal.lattice + vectors, axis=1
            )
            assert sums.pauli[i, j] == pytest.approx(np.exp(-1.3 * r).sum(), rel=1e-9)
            radius = 12 * volume ** (1 / 3) / 2
            inside = r[(r > 1e-9) & (r < radius)]
            rest = 4 * np.pi / (3 * volume * radius**3)  # of a uniform density
            assert (inside**-6.0).sum() + rest == pytest.approx(sums.london[i, j], rel=1e-3, abs=1e-7)


def test_coulomb_sums_of_a_fading_potential(random_crystals) -> None:
    """exp(-(r/w)²)/r summed as it stands; a difference of two such sums has an error in w^-2, w^-4, ..."""
    images = np.array(list(product(range(-30, 31), repeat=3)))
    [crystal] = random_crystals(1, seed=7, smallest=2, largest=2)
    first, second = crystal.frac_coords
    third = first + 0.37 * (second - first)
    distances = [
        np.linalg.norm((images + other - first) @ crystal.lattice, axis=1) for other in (second, third)
    ]
    near, middle, far = (
        np.subtract(*((np.exp(-((r / width) ** 2)) / r).sum() for r in distances)) for width in (4, 8, 16)
    )
    expected = (64 * far - 20 * middle + near) / 45
    sums = lattice_sums(crystal.lattice, np.stack([first, second, third]), 1.0).coulomb
    assert sums[0, 1] - sums[0, 2] == pytest.approx(expected, rel=1e-5)


# --- what must not change them ---------------------------------------------------------------------------


@pytest.mark.parametrize("split", [2.0, 4.5])
def test_the_split_does_not_matter(random_crystals, monkeypatch, split) -> None:
    crystals = random_crystals(4)
    before = [of(crystal) for crystal in crystals]
    monkeypatch.setattr(module, "SPLIT", split)
    for crystal, expected in zip(crystals, before, strict=True):
        assert_same(of(crystal), expected)


def test_symmetries(random_crystals) -> None:
    rng = np.random.default_rng(0)
    for crystal in random_crystals(4, seed=2, smallest=2):
        expected, f, lattice = of(crystal), crystal.frac_coords, crystal.lattice
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        mirrored = lattice * [1, 1, -1]
        for cell, coords in (
            (lattice @ rotation, f + rng.random(3)),
            (mirrored, f),
            (lattice[[1, 0, 2]], f[:, [1, 0, 2]]),  # the other handedness
            (lattice, f + rng.integers(-3, 4, size=f.shape)),
        ):
            assert_same(lattice_sums(cell, coords, 1.3), expected)
        change = np.array([[1, 0, 0], [7, 1, 0], [-3, 5, 1]])
        assert_same(lattice_sums(change @ lattice, f @ np.linalg.inv(change), 1.3), expected)
        order = rng.permutation(len(f))
        permuted = LatticeSums(*(values[np.ix_(order, order)] for values in expected))
        assert_same(lattice_sums(lattice, f[order], 1.3), permuted)
        assert all(np.array_equal(values, values.T) for values in expected)


def test_sums_over_a_supercell_add_up(random_crystals) -> None:
    [crystal] = random_crystals(1, seed=9, smallest=3)
    f, n = crystal.frac_coords, len(crystal.numbers)
    doubled = np.concatenate([f * [0.5, 1, 1], f * [0.5, 1, 1] + [0.5, 0, 0]])
    whole = lattice_sums(crystal.lattice * [[2], [1], [1]], doubled, 1.3)
    parts = LatticeSums(*(values[:n, :n] + values[:n, n:] for values in whole))
    assert_same(parts, of(crystal))


def test_lengths_scale() -> None:
    one, two = (lattice_sums(scale * FCC, PAIR, 1.0 / scale) for scale in (1.0, 2.0))
    assert_same(LatticeSums(two.coulomb * 2, two.london * 64, two.pauli), one)


def test_atoms_at_one_place_are_as_an_atom_with_itself() -> None:
    sums = lattice_sums(FCC, np.array([[0.2, 0.9, 0.4], [0.2, -0.1, 0.4]]), 1.0)
    for values in sums:
        np.testing.assert_allclose(values, values[0, 0], rtol=1e-12)


def test_large_flat_and_long_cells() -> None:
    for lattice in (np.diag([2.0, 2.0, 60.0]), np.diag([2.0, 30.0, 30.0])):
        sums = lattice_sums(lattice, PAIR, 1.0)
        halves = np.concatenate([PAIR * [1, 1, 0.5], PAIR * [1, 1, 0.5] + [0, 0, 0.5]])
        whole = lattice_sums(lattice * [[1], [1], [2]], halves, 1.0)
        assert_same(LatticeSums(*(values[:2, :2] + values[:2, 2:] for values in whole)), sums)


def test_a_reduced_cell_has_the_same_lattice() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        lattice = np.tril(rng.integers(-9, 10, size=(3, 3)), -1) @ np.eye(3) + np.diag([2.0, 3, 4])
        cell = reduced_cell(lattice)
        change = cell @ np.linalg.inv(lattice)
        np.testing.assert_allclose(change, np.round(change), atol=1e-9)
        assert abs(np.linalg.det(change)) == pytest.approx(1)
        assert np.linalg.norm(cell, axis=1).max() <= np.linalg.norm(lattice, axis=1).max() + 1e-12


@pytest.mark.parametrize(
    ("lattice", "coords", "decay", "message"),
    [
        (np.eye(3) * np.nan, PAIR, 1.0, "lattice and frac_coords: expected finite values"),
        (np.ones((3, 3)), PAIR, 1.0, "lattice: expected a cell with a volume"),
        (np.eye(3), PAIR, 0.0, r"decay: expected above 0 1/Å, got 0\.0"),
    ],
)
def test_bad_input_is_named(lattice, coords, decay, message) -> None:
    with pytest.raises(ValueError, match=message):
        lattice_sums(lattice, coords, decay)
