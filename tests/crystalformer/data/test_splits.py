"""Splits: the published rule, stored lists, and no way from a search to the test ids."""

import json
import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalformer.data.array_store import ArrayStore, StoreError
from crystalformer.data.splits import (
    Split,
    fractions,
    from_column,
    labelled_ids,
    load_split,
    save_split,
    subset,
)
from crystalformer.data.store_writer import write_store


def ids_of(count: int) -> list[str]:
    return [f"mp-{i}" for i in range(count)]


@pytest.mark.parametrize(
    ("count", "counts"),  # of the official splits of JARVIS dft_3d_2021: all records, e_hull, mbj gap
    [(55723, (44578, 5572, 5572)), (55371, (44296, 5537, 5537)), (18172, (14537, 1817, 1817))],
)
def test_published_counts(count: int, counts: tuple[int, int, int]) -> None:
    split = fractions(ids_of(count), 0.8, 0.1, 0.1, seed=123)
    assert (len(split.train), len(split.val), len(split.test)) == counts


def test_the_rule_of_jarvis_leaderboard() -> None:
    """Its rule, on indices with the global generator: the front is train, the end is test, val is before."""
    order = list(range(1009))
    state = random.getstate()
    random.seed(123)
    random.shuffle(order)
    random.setstate(state)
    split = fractions(ids_of(1009), 0.8, 0.1, 0.1, seed=123)
    assert split.train == tuple(f"mp-{i}" for i in order[:807])
    assert split.val == tuple(f"mp-{i}" for i in order[-200:-100])
    assert split.test == tuple(f"mp-{i}" for i in order[-100:])


@settings(max_examples=50, deadline=None)
@given(total=st.integers(2, 200), share=st.floats(0.01, 1), seed=st.integers(0, 2**32))
def test_properties_of_subsets(total: int, share: float, seed: int) -> None:
    ids, count = ids_of(total), max(1, int(share * total))
    drawn = subset(ids, count, seed)
    assert len(drawn) == len(set(drawn)) == count
    assert list(drawn) == [id_ for id_ in ids if id_ in set(drawn)]  # in their order
    assert drawn == subset(ids, count, seed)
    assert set(subset(ids, 1, seed)) <= set(drawn) <= set(subset(ids, min(count + 1, total), seed))


def test_another_seed_draws_another_subset() -> None:
    assert subset(ids_of(100), 50, 0) != subset(ids_of(100), 50, 1)
    with pytest.raises(ValueError, match="expected from 1 to 100, got 101"):
        subset(ids_of(100), 101, 0)


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(10, 300),
    parts=st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8)),
    seed=st.integers(0, 2**32),
)
def test_properties_of_fractions(count: int, parts: tuple[int, int, int], seed: int) -> None:
    ids = ids_of(count)
    shares = [part / sum(parts) for part in parts]
    if int(min(shares) * count) == 0:
        with pytest.raises(ValueError, match="expected at least one crystal"):
            fractions(ids, *shares, seed=seed)
        return
    split = fractions(ids, *shares, seed=seed)
    used = split.train + split.val + split.test
    assert len(set(used)) == len(used)
    assert set(used) <= set(ids)
    assert 0 <= count - len(used) <= 3  # each count is rounded down
    for share, members in zip(shares, (split.train, split.val, split.test), strict=True):
        assert len(members) <= share * count + 1e-9
        assert len(members) > share * count - 1 - 1e-9
    assert fractions(ids, *shares, seed=seed) == split
    assert fractions(list(ids), *shares, seed=seed).hash == split.hash


def test_seed_and_order_of_ids_matter_to_the_hash() -> None:
    split = fractions(ids_of(100), 0.8, 0.1, 0.1, seed=0)
    assert fractions(ids_of(100), 0.8, 0.1, 0.1, seed=1).hash != split.hash
    assert fractions(ids_of(100)[::-1], 0.8, 0.1, 0.1, seed=0).hash != split.hash


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.8, 0.1, 0.2), "expected fractions that sum to at most 1, got 1.1"),
        ((0.8, 0.0, 0.2), "split.val: expected a fraction above 0, got 0.0"),
        ((0.8, 0.1, float("nan")), "split.test: expected a fraction above 0, got nan"),
        ((0.8, 0.1, 0.001), "split.test: expected at least one crystal, got none: 0.001 of 100 crystals"),
    ],
)
def test_impossible_fractions(shares: tuple[float, float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fractions(ids_of(100), *shares, seed=0)


def test_a_search_split_holds_no_test_ids() -> None:
    split = Split.of(["a"], ["b"], ["secret-crystal"], rule="by hand")
    searched = split.without_test()
    assert (searched.train, searched.val, searched.hash) == (split.train, split.val, split.hash)
    assert not hasattr(searched, "test")
    assert b"secret-crystal" not in pickle.dumps(searched)
    assert "secret-crystal" not in repr(searched)


def test_an_id_in_two_lists_is_refused() -> None:
    with pytest.raises(ValueError, match="expected every id once, got 3 ids, 2 different"):
        Split.of(["a"], ["b"], ["a"], rule="by hand")


def test_labels_of_the_data_set(store: ArrayStore) -> None:
    split = from_column(store)
    assert split.counts == {"train": 20, "val": 10, "test": 10}  # two, one, one of five; one has no label
    assert split.val[:2] == ("c-2", "c-7")
    assert split.test[:2] == ("c-3", "c-8")
    with_gap = from_column(store, labelled_ids(store, "gap"))
    assert set(with_gap.train) == {f"c-{i}" for i in range(50) if i % 5 < 2 and i % 2}


def test_missing_labels_are_an_error(tmp_path, make_crystals) -> None:
    store = ArrayStore.open(write_store(tmp_path, "plain", make_crystals(5), {}, {}))
    with pytest.raises(ValueError, match="data set plain has no split of its own; expected fractions"):
        from_column(store)


def test_crystals_without_the_target_are_left_out(store: ArrayStore) -> None:
    assert labelled_ids(store, "energy") == store.ids
    assert labelled_ids(store, "gap") == store.ids[1::2]
    with pytest.raises(
        ValueError, match=r"target: expected one of energy, gap .*, got 'enrgy'; did you mean energy"
    ):
        labelled_ids(store, "enrgy")


def test_stored_lists_are_read_back_in_order(store: ArrayStore) -> None:
    split = fractions(store.ids, 0.6, 0.2, 0.2, seed=5)
    key = save_split(store, split)
    assert save_split(store, split) == key
    reopened = ArrayStore.open(store.path)
    assert load_split(reopened, split.hash) == load_split(reopened, key) == split
    entry = reopened.manifest["splits"][key]
    assert entry["hash"] == split.hash
    assert entry["counts"] == split.counts
    assert entry["rule"] == "fractions 0.6/0.2/0.2, seed 5"
    assert store.manifest == reopened.manifest
    assert json.loads((store.path / entry["file"]).read_text())["val"] == list(split.val)


def test_several_splits_lie_side_by_side(store: ArrayStore) -> None:
    splits = [fractions(store.ids, 0.6, 0.2, 0.2, seed=seed) for seed in range(3)]
    keys = {save_split(ArrayStore.open(store.path), split) for split in splits}
    assert set(ArrayStore.open(store.path).manifest["splits"]) == keys
    assert len(keys) == 3
    assert [load_split(store, split.hash) for split in splits] == splits


def test_a_changed_or_missing_list_is_noticed(store: ArrayStore) -> None:
    split = fractions(store.ids, 0.6, 0.2, 0.2, seed=5)
    key = save_split(store, split)
    file = store.path / "splits" / f"{key}.json"
    lists = json.loads(file.read_text())
    lists["train"][0], lists["test"][0] = lists["test"][0], lists["train"][0]
    file.write_text(json.dumps(lists))
    with pytest.raises(StoreError, match=f"{key}.json: expected id lists of hash {split.hash}, got "):
        load_split(store, split.hash)
    with pytest.raises(StoreError, match="delete the folder"):
        save_split(store, split)
    file.unlink()
    with pytest.raises(StoreError, match=f"{key}.json: expected three id lists"):
        load_split(store, split.hash)


def test_an_unknown_hash_lists_the_known_ones(store: ArrayStore) -> None:
    key = save_split(store, fractions(store.ids, 0.6, 0.2, 0.2, seed=5))
    for wrong in ("0" * 64, key + "0" * 52):
        with pytest.raises(StoreError, match=f"expected one of the splits {key}, got '{wrong}'"):
            load_split(store, wrong)


def test_a_split_of_another_data_set_is_refused(store: ArrayStore) -> None:
    with pytest.raises(ValueError, match="3 ids are not in data set toy"):
        save_split(store, Split.of(["x"], ["y"], ["z"], rule="by hand"))
    assert ArrayStore.open(store.path).manifest["splits"] == {}
