"""Splits that users make: lists of ids, groups, and what is said when they do not fit."""

import gzip
import json
from pathlib import Path

import pytest
from suite_fixtures import small_space

from suite.prepare import prepare_data
from suite.space.describe import describe
from suite.space.node import SpaceError
from suite.space.search_space import SearchSpace, load_space

TARGET = "log10_K_VRH"


def space_with(folder: Path, **data: object) -> SearchSpace:
    block = {"dataset": {"path": "small.jsonl"}, "target": TARGET, "unit": "log10(GPa)"}
    return load_space(small_space(folder, data=block | data))


def ids_of(folder: Path) -> list[str]:
    small_space(folder)
    return [json.loads(line)["id"] for line in (folder / "small.jsonl").read_text().splitlines()]


def test_lists_of_ids_in_files_and_in_the_space(tmp_path: Path) -> None:
    ids = ids_of(tmp_path)
    (tmp_path / "train.txt").write_text("\ufeff" + "\r\n".join(ids[10:]) + "\r\n\r\n", encoding="utf-8")
    (tmp_path / "val.json.gz").write_bytes(gzip.compress(json.dumps(dict.fromkeys(ids[5:10], 1.0)).encode()))
    space = space_with(tmp_path, split={"train": "train.txt", "val": "val.json.gz", "test": ids[4::-1]})
    split = prepare_data(space, tmp_path / "data").splits[TARGET]
    assert split.train == tuple(ids[10:])
    assert split.val == tuple(ids[5:10])
    assert split.test == tuple(ids[4::-1])
    assert split.rule == "ids listed in train.txt, val.json.gz, the search space"
    (tmp_path / "train.txt").write_text("\n".join(ids[11:]))
    changed = space_with(tmp_path, split={"train": "train.txt", "val": "val.json.gz", "test": ids[4::-1]})
    assert changed.digest != space.digest  # the content of the lists counts, not their names


def test_listed_ids_without_a_crystal(tmp_path: Path) -> None:
    ids = ids_of(tmp_path)
    split = {"train": [*ids[10:], "mp-gone", "mp-lost"], "val": ids[5:10], "test": ids[:5]}
    with pytest.raises(ValueError, match=r"2 listed ids have no crystal with a value: 'mp-gone', 'mp-lost'"):
        prepare_data(space_with(tmp_path, split=split), tmp_path / "data")
    data = prepare_data(space_with(tmp_path, split=split, max_rejected=2), tmp_path / "data")
    assert data.splits[TARGET].train == tuple(ids[10:])


def test_fewer_training_crystals_and_the_same_test(tmp_path: Path) -> None:
    """Each smaller training set is part of a larger one; nothing else of the split changes."""
    for rule in (
        {"train": 0.8, "val": 0.1, "test": 0.1, "seed": 5},
        {"group": "prototype", "val": 0.1, "test": 0.1},
    ):
        whole = prepare_data(space_with(tmp_path, split=rule), tmp_path / "data").splits[TARGET]
        larger: set[str] = set(whole.train)
        for count in (20, 8, 2):
            space = space_with(tmp_path, split=rule, train_crystals=count)
            data = prepare_data(space, tmp_path / "data")
            split = data.splits[TARGET]
            assert len(split.train) == count
            assert set(split.train) < larger
            assert (split.val, split.test) == (whole.val, whole.test)
            assert split.hash != whole.hash
            assert data.summary()["split"][TARGET]["test_hash"] == whole.test_hash
            larger = set(split.train)
    with pytest.raises(
        ValueError, match=r"data.train_crystals: expected from 1 to the \d+ crystals of the split"
    ):
        prepare_data(space_with(tmp_path, train_crystals=41), tmp_path / "data")
    with pytest.raises(SpaceError, match=r"train_crystals: expected a whole number of at least 1"):
        space_with(tmp_path, train_crystals=0)


def test_fewer_validation_crystals_and_the_same_others(tmp_path: Path) -> None:
    """Each smaller validation set is part of a larger one, whatever else is drawn."""
    rule = {"train": 0.5, "val": 0.3, "test": 0.2, "seed": 5}
    whole = prepare_data(space_with(tmp_path, split=rule), tmp_path / "data").splits[TARGET]
    larger: set[str] = set(whole.val)
    for count, trained in ((8, 20), (2, 4)):
        space = space_with(tmp_path, split=rule, val_crystals=count, train_crystals=trained)
        split = prepare_data(space, tmp_path / "data").splits[TARGET]
        assert (len(split.train), len(split.val)) == (trained, count)
        assert set(split.val) < larger
        assert split.test == whole.test
        assert split.rule.endswith(f"of validation {count} crystals drawn with seed 5")
        larger = set(split.val)
    assert load_space(tmp_path / "space.yaml", ("data.val_crystals=3",)).digest != space.digest
    with pytest.raises(
        ValueError, match=r"data.val_crystals: expected from 1 to the 12 crystals of the split"
    ):
        prepare_data(space_with(tmp_path, split=rule, val_crystals=13), tmp_path / "data")
    with pytest.raises(SpaceError, match=r"val_crystals: expected a whole number of at least 1"):
        space_with(tmp_path, val_crystals=0)


@pytest.mark.parametrize("kind", ["composition", "prototype", "element"])
def test_whole_groups(tmp_path: Path, kind: str) -> None:
    space = space_with(tmp_path, split={"group": kind, "val": 0.2, "test": 0.2, "seed": 3})
    split = prepare_data(space, tmp_path / "data").splits[TARGET]
    assert 0 < len(split.test) <= 8
    assert 0 < len(split.val) <= 8
    assert len(split.train) + len(split.val) + len(split.test) == 40
    assert split.rule == f"whole groups by {kind}: val 0.2, test 0.2, seed 3"
    assert load_space(tmp_path / "space.yaml", ("data.split.test=0.1",)).digest != space.digest


def test_a_left_out_element_is_nowhere_else(tmp_path: Path) -> None:
    space = space_with(tmp_path, split={"group": "element", "val": 0.1, "test": "Al"})
    data = prepare_data(space, tmp_path / "data")
    split, store = data.splits[TARGET], data.store
    assert split.test
    for id_ in store.ids:
        has = 13 in store.crystal(store.rows([id_])[0]).numbers
        assert has == (id_ in split.test)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": "gone.txt", "val": ["a"], "test": ["b"]}, "expected a list of ids, or a file of them"),
        (
            {"train": ["a"], "val": ["b"]},
            "for train, val and test, got none for test",
        ),
        ({"train": ["a", "a"], "val": ["b"], "test": ["c"]}, "'a' is listed twice"),
        ({"train": ["a"], "val": ["b"], "test": ["c"], "seed": 3}, "unknown key 'seed'"),
        ({"train": 0.8, "val": ["b"], "test": ["c"]}, "expected a list of ids, or a file|expected a path"),
        ({"group": "colour"}, "unknown group 'colour'; valid: composition, element, prototype"),
        ({"group": "element", "train": 0.8}, "training crystals are what they leave over"),
        ({"group": "element", "val": 0.5, "test": 0.5}, "shares of val and test that leave crystals"),
        ({"group": "element", "val": 1}, "expected a share between 0 and 1, or the name of a group"),
        ({"group": "element", "test": []}, "expected a share between 0 and 1, or the name of a group"),
    ],
)
def test_impossible_splits(tmp_path: Path, split: dict, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        space_with(tmp_path, split=split)


def test_files_of_ids_that_are_none(tmp_path: Path) -> None:
    for name, content in {
        "a.json": b'{"x": [1',
        "b.json": b"[1, 2]",
        "c.txt": b"\xff\xfe",
        "d.txt": b"x\nx\n",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SpaceError, match=f"data.split.train: expected .*{name}"):
            space_with(tmp_path, split={"train": name, "val": ["a"], "test": ["b"]})


def test_a_dry_run_tells_the_split(tmp_path: Path) -> None:
    from rich.console import Console

    console = Console(width=100, record=True, file=(tmp_path / "out").open("w"))
    console.print(
        describe(space_with(tmp_path, split={"group": "element", "test": ["Al", "Mg"]}, cell="niggli"))
    )
    shown = " ".join(console.export_text().split())
    assert "whole groups by element: val 0.1, test Al Mg (seed 123)" in shown
    assert "cells niggli" in shown
