"""The work on a batch is shared out completely, and alike whatever the batch and the threads."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalformer.layers.segments import segment_offsets
from crystalformer.model.portions import ATOMS, MOST, share_out

SIZES = st.lists(
    st.one_of(st.integers(1, 2 * ATOMS), st.integers(1, 3 * MOST * ATOMS)), min_size=1, max_size=5
)


def shared(sizes, seed=0):
    images = torch.from_numpy(np.random.default_rng(seed).integers(1, 9, sum(sizes)))
    return share_out(torch.tensor(sizes), segment_offsets(images)), images


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99))
def test_every_atom_is_in_one_portion_and_every_sum_has_its_rows(sizes, seed):
    portions, images = shared(sizes, seed)
    starts, received, written = np.cumsum([0, *sizes]), [], []
    load = []
    for first, atoms, low, high, row in portions.table.tolist():
        assert atoms == sizes[starts.tolist().index(first)]
        assert high - low >= min(atoms, ATOMS)
        received += range(first + low, first + high)
        written += range(row, row + atoms)
        load.append(int(images[first + low : first + high].sum()))
    assert sorted(received) == list(range(sum(sizes)))
    assert sorted(written) == list(range(portions.rows))
    assert load == sorted(load, reverse=True)
    assert portions.rows <= MOST * sum(sizes)


@settings(deadline=None)
@given(sizes=SIZES)
def test_sums_are_those_of_all_portions(sizes):
    portions, _ = shared(sizes)
    expected = torch.zeros(sum(sizes), 2)
    sums = torch.arange(2.0 * portions.rows).view(-1, 2)
    for first, atoms, *_, row in portions.table.tolist():
        expected[first : first + atoms] += sums[row : row + atoms]
    torch.testing.assert_close(portions.add_up(sums.clone()), expected, rtol=1e-6, atol=0)


def test_only_large_crystals_are_divided():
    counts = {}
    for size in (1, ATOMS, 2 * ATOMS - 1, 2 * ATOMS, 3 * ATOMS, 500, 5000):
        counts[size] = len(shared([size])[0].table)
    assert list(counts.values()) == [1, 1, 1, 2, 3, MOST, MOST]


def test_a_crystal_is_divided_alike_beside_any_other():
    alone = shared([3 * ATOMS])[0].table
    beside = shared([5, 3 * ATOMS, 700, 2])[0].table
    mine = beside[beside[:, 0] == 5]
    assert sorted(mine[:, 2:4].tolist()) == sorted(alone[:, 2:4].tolist())
