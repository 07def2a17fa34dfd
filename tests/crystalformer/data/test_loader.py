"""Order of crystals: a function of seed and epoch in training, bounded memory in evaluation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalformer.data.loader import EpochOrder, evaluation_batches


def as_lists(batches: list[np.ndarray]) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(1, 100), batch_size=st.integers(1, 40), seed=st.integers(0, 2**31), drop=st.booleans()
)
def test_every_crystal_at_most_once_an_epoch(count: int, batch_size: int, seed: int, drop: bool) -> None:
    rows = np.arange(count) * 3 + 7
    order = EpochOrder(rows, batch_size, seed, drop_last=drop)
    batches = order.epoch(0)
    used = [row for batch in batches for row in batch.tolist()]
    assert len(order) == len(batches)
    assert all(batch.dtype == np.int64 for batch in batches)
    assert len(set(used)) == len(used)
    assert set(used) <= set(rows.tolist())
    if drop and count >= batch_size:
        assert [len(batch) for batch in batches] == [batch_size] * (count // batch_size)
    else:
        assert set(used) == set(rows.tolist())
        assert all(len(b) == batch_size for b in batches[:-1])


def test_a_resumed_run_sees_the_same_order() -> None:
    whole = EpochOrder(range(50), 8, seed=3)
    epochs = [as_lists(whole.epoch(k)) for k in range(5)]
    assert as_lists(EpochOrder(range(50), 8, seed=3).epoch(4)) == epochs[4]
    assert as_lists(whole.epoch(1)) == epochs[1]
    assert len({str(epoch) for epoch in epochs}) == 5
    assert as_lists(EpochOrder(range(50), 8, seed=4).epoch(0)) != epochs[0]


def test_epochs_drop_different_crystals() -> None:
    order = EpochOrder(range(10), 8, seed=0)
    seen = {row for k in range(30) for batch in order.epoch(k) for row in batch.tolist()}
    assert seen == set(range(10))


def test_order_does_not_depend_on_numpys_global_state() -> None:
    first = as_lists(EpochOrder(range(20), 4, seed=0).epoch(0))
    np.random.seed(1)  # noqa: NPY002 - the global state is the point
    assert as_lists(EpochOrder(range(20), 4, seed=0).epoch(0)) == first


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=80),
    batch_size=st.integers(1, 20),
    max_atoms=st.integers(1, 200),
)
def test_evaluation_keeps_all_within_bounds(sizes: list[int], batch_size: int, max_atoms: int) -> None:
    atoms = np.array(sizes)
    rows = np.arange(len(sizes))[::-1]
    batches = evaluation_batches(rows, batch_size, atoms, max_atoms)
    flat = np.concatenate(batches)
    assert sorted(flat.tolist()) == list(range(len(sizes)))
    assert (np.diff(atoms[flat]) >= 0).all()
    for batch in batches:
        assert 1 <= len(batch) <= batch_size
        assert atoms[batch].sum() <= max_atoms or len(batch) == 1


def test_evaluation_batches_known_answer() -> None:
    sizes = np.array([5, 1, 9, 2, 2, 30])
    assert as_lists(evaluation_batches([5, 4, 3, 2, 1, 0], 3, sizes, max_atoms=10)) == [
        [1, 4, 3],
        [0],
        [2],
        [5],
    ]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="indices: expected a list of at least one store row"):
        EpochOrder([], 4, seed=0)
    with pytest.raises(ValueError, match="batch_size: expected at least 1 crystal, got 0"):
        EpochOrder([1], 0, seed=0)
    with pytest.raises(ValueError, match="seed: expected at least 0, got -1"):
        EpochOrder([1], 1, seed=-1)
    with pytest.raises(ValueError, match="expected at least 1, got 4, 0"):
        evaluation_batches([0], 4, np.array([1]), max_atoms=0)
