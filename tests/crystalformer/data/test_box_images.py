"""Images in boxes of cells against all cells of the boxes, one by one."""

import numpy as np
import pytest

from crystalformer.data.box_images import box_images

BOXES = [((1, 4, 2), 2, 2), ((3, 0, 6), 1, 1), ((5, 2, 3), 1, 0)]


def random_cell(rng, kind):
    lattice = 4 * np.eye(3) + rng.normal(size=(3, 3)) * 0.6
    positions = rng.random((3, 3)) @ lattice
    if kind == "skewed":
        lattice = np.array([[1, 0, 0], [2, 1, 0], [-1, 2, 1]]) @ lattice
    elif kind == "left-handed":
        lattice = lattice[[1, 0, 2]]
    elif kind == "needle":
        lattice = np.diag([0.4, 16.0, 1.0]) @ lattice
    elif kind == "unwrapped":
        positions += rng.integers(-3, 4, size=(3, 3)) @ lattice
    elif kind == "coincident":
        positions[1] = positions[0]
    return lattice, positions


def one_by_one(lattice, positions, ranges, inner, excess, spacings, free):
    """(i, j, n) -> (distance, reach), of the images that the rule keeps."""
    cells = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in ranges], indexing="ij"), -1).reshape(-1, 3)
    near = (np.abs(cells) <= inner).all(1)
    steps = np.abs(cells)
    reaches = np.where(steps > free, (steps - 1) * spacings, 0.0).max(1)
    found = {}
    for i, j in np.ndindex(3, 3):
        squared = ((positions[j] - positions[i] + cells @ lattice) ** 2).sum(1)
        for row in np.flatnonzero(squared <= squared[near].min() + excess):
            found[i, j, *cells[row].tolist()] = squared[row] ** 0.5, reaches[row]
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["plain", "skewed", "left-handed", "needle", "unwrapped", "coincident"])
@pytest.mark.parametrize(
    ("ranges", "inner", "free"), [((1, 4, 2), 2, 2), ((3, 0, 6), 1, 1), ((5, 2, 3), 1, 0)]
)
def test_agrees_with_all_cells_of_the_box(kind, seed, ranges, inner, free):
    """`inner` may be wider than the box, or narrower; both crystals of a call have boxes of their own."""
    rng = np.random.default_rng(seed)
    made = [random_cell(rng, kind), random_cell(rng, "plain")]
    lattices = np.stack([lattice for lattice, _ in made])
    spacings = 1 / np.linalg.norm(np.linalg.inv(lattices), axis=1)
    boxes = np.array([ranges, ranges[::-1]])
    rule = {"inner": inner, "excess": 30.0, "free": free}
    images = box_images(
        np.concatenate([positions for _, positions in made]),
        lattices,
        np.array([3, 3]),
        boxes,
        **rule,
        spacings=spacings,
        cells=True,
    )
    query = np.repeat(np.arange(6), images.counts)
    for crystal, (lattice, positions) in enumerate(made):
        rows = query // 3 == crystal
        edges = np.column_stack([query[rows] % 3, images.keys[rows], images.cells[rows]]).tolist()
        assert edges == sorted(edges)
        expected = one_by_one(lattice, positions, boxes[crystal], spacings=spacings[crystal], **rule)
        assert {tuple(edge) for edge in edges} == expected.keys()
        values = np.array([expected[tuple(edge)] for edge in edges])
        np.testing.assert_allclose(images.distances[rows], values[:, 0], rtol=0, atol=1e-11)
        np.testing.assert_allclose(images.reaches[rows], values[:, 1], rtol=0, atol=1e-11)


def test_without_spacings_there_is_no_reach_and_unasked_no_cell():
    images = box_images(
        np.zeros((1, 3)), np.eye(3)[None], np.array([1]), np.array([[1, 1, 1]]), inner=1, excess=1.0
    )
    assert images.counts.tolist() == [7]
    assert (len(images.cells), len(images.reaches)) == (0, 0)
    assert sorted(images.distances) == pytest.approx([0, 1, 1, 1, 1, 1, 1])


def test_distances_have_the_type_asked_for():
    arrays = np.zeros((1, 3), np.float32), np.eye(3, dtype=np.float32)[None], np.array([1])
    images = box_images(*arrays, np.array([[2, 0, 0]]), inner=1, excess=9.0, dtype=np.float32)
    assert images.distances.dtype == np.float32
    assert images.distances.tolist() == [2, 1, 0, 1, 2]
