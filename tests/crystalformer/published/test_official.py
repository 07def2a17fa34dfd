"""Official splits: by the published rules, against published lists, and refused where the data are others."""

import json
import random
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.catalog import DATASETS
from crystalformer.data.crystal import Crystal
from crystalformer.data.datasets.row import Dataset, OfficialSplit, Target
from crystalformer.data.official import (
    Roster,
    fold_ids,
    fold_split,
    official_ids,
    official_split,
    source_id,
)
from crystalformer.data.splits import LABELS
from crystalformer.data.store_writer import write_store

SPLITS = Path(__file__).resolve().parents[4] / "shared" / "data" / "splits"
needs_lists = pytest.mark.skipif(
    not SPLITS.is_dir(),
    reason="the published lists of ids (shared/data/splits) are not beside the repository",
)
MATBENCH = [name for name in DATASETS if name.startswith("matbench-")]


@cache
def published_lists(name: str) -> dict[str, list[str]]:
    with zipfile.ZipFile(SPLITS / f"{name}.json.zip") as archive:
        lists = json.loads(archive.read(f"{name}.json"))
    return {label: list(lists[label]) for label in LABELS}


def positions(lists: dict[str, list[str]], crystals: int) -> dict[str, int]:
    """Where the rule says that validation and test ids stood in the source: the shuffle undone.

    Lists of ids as keys lose repeated ones, which here come in the training list only.
    """
    order = list(range(crystals))
    random.Random(123).shuffle(order)
    n_val, n_test = len(lists["val"]), len(lists["test"])
    tail = order[crystals - n_val - n_test :]
    return dict(zip(lists["val"] + lists["test"], tail, strict=True))


@needs_lists
@pytest.mark.parametrize(
    ("other", "crystals"),
    [("ehull", 55371), ("bulk_modulus_kv", 19680), ("shear_modulus_gv", 19680)],
)
def test_undoing_the_shuffle_of_each_jarvis_list_gives_one_order_of_the_source(
    other: str, crystals: int
) -> None:
    """Each target has its own number of crystals, so its own shuffle; the source behind them is the same."""
    all_crystals = positions(published_lists("dft_3d_formation_energy_peratom"), 55723)
    with_target = positions(published_lists(f"dft_3d_{other}"), crystals)
    common = sorted(all_crystals.keys() & with_target.keys(), key=all_crystals.__getitem__)
    assert len(common) > 500
    order = [with_target[id_] for id_ in common]
    assert order == sorted(order)


@needs_lists
def test_the_counts_and_ends_of_the_catalogue_are_those_of_the_jarvis_lists() -> None:
    splits = DATASETS["jarvis-dft-3d-2021"].splits
    names = {
        "formation_energy_per_atom": "formation_energy_peratom",
        "total_energy_per_atom": "optb88vdw_total_energy",
        "band_gap": "optb88vdw_bandgap",
        "band_gap_mbj": "mbj_bandgap",
        "e_above_hull": "ehull",
    }
    for target, name in names.items():
        lists, split = published_lists(f"dft_3d_{name}"), splits[target]
        assert {label: (ids[0], ids[-1]) for label, ids in lists.items()} == split.ends
        for label, ids in lists.items():  # repeated ids are lost as keys
            assert split.counts[label] - 10 < len(ids) <= split.counts[label]


@needs_lists
@pytest.mark.parametrize("name", ["megnet_e_form", "megnet_gappbe"])
def test_the_megnet_lists_have_the_counts_and_the_named_ids_of_the_catalogue(name: str) -> None:
    split, lists = DATASETS["mp-2018.6.1"].splits["band_gap"], published_lists(name)
    for label, ids in lists.items():
        assert len(ids) == split.counts[label]
        assert set(split.ends[label]) <= set(ids)


@needs_lists
def test_the_published_mean_absolute_deviations_are_those_of_the_lists() -> None:
    for name, dataset, target in [
        ("megnet_e_form", "mp-2018.6.1", "formation_energy_per_atom"),
        ("megnet_gappbe", "mp-2018.6.1", "band_gap"),
        ("dft_3d_formation_energy_peratom", "jarvis-dft-3d-2021", "formation_energy_per_atom"),
        ("dft_3d_optb88vdw_total_energy", "jarvis-dft-3d-2021", "total_energy_per_atom"),
        ("dft_3d_optb88vdw_bandgap", "jarvis-dft-3d-2021", "band_gap"),
        ("dft_3d_mbj_bandgap", "jarvis-dft-3d-2021", "band_gap_mbj"),
        ("dft_3d_ehull", "jarvis-dft-3d-2021", "e_above_hull"),
    ]:
        with zipfile.ZipFile(SPLITS / f"{name}.json.zip") as archive:
            lists = json.loads(archive.read(f"{name}.json"))
        values = np.array([float(value) for part in lists.values() for value in part.values()])
        known = DATASETS[dataset].targets[target]
        assert np.abs(values - values.mean()).mean() == pytest.approx(known.mad, abs=0.005)
        low, high = known.usual
        assert np.mean((values >= low) & (values <= high)) > 0.99


@pytest.mark.parametrize("name", MATBENCH)
def test_the_folds_of_matbench_are_the_published_ones(name: str) -> None:
    """`fold_ids` compares with the digests of the id lists inside the package matbench."""
    dataset = DATASETS[name]
    (target,), digits = dataset.targets, len(str(dataset.crystals))
    ids = [f"{dataset.parts[0].id_key}-{row:0{digits}d}" for row in range(1, dataset.crystals + 1)]
    roster = Roster(ids, [None] * len(ids), {target: np.zeros(len(ids))})
    folds = [fold_ids(dataset, roster, target, fold) for fold in range(5)]
    assert sorted(id_ for fold in folds for id_ in fold) == ids
    with pytest.raises(ValueError, match=r"fold 0: expected test ids of SHA-256 .*not the published one"):
        fold_ids(dataset, Roster(ids[:-1], [None] * len(ids), {}), target, 0)


def made_up(rule: OfficialSplit, **targets: Target) -> Dataset:
    known = targets or {"energy": Target("eV", "Energy")}
    return Dataset(
        "made-up", "Made up", known, 20, citation="", license="", splits=dict.fromkeys(known, rule)
    )


def store_of(
    folder: Path,
    energies: list[float | None],
    labels: list[str | None] | None = None,
    absent: list | None = None,
) -> ArrayStore:
    crystals = [
        Crystal(
            f"c{row}", 4 * np.eye(3), [[0, 0, 0]], [14], {} if energy is None else {"energy": energy}, label
        )
        for row, (energy, label) in enumerate(zip(energies, labels or [None] * len(energies), strict=True))
    ]
    return ArrayStore.open(
        write_store(folder, "made-up", crystals, {"energy": "eV"}, {"absent": absent or []})
    )


def shuffled(ids: list[str]) -> list[str]:
    ids = list(ids)
    random.seed(123)  # as the authors do it
    random.shuffle(ids)
    return ids


def test_the_shuffle_is_that_of_the_authors(tmp_path: Path) -> None:
    rule = OfficialSplit("shuffle", {"train": 15, "val": 3, "test": 1})
    energies: list[float | None] = [float(row) for row in range(22)]
    energies[3] = energies[7] = None
    store = store_of(tmp_path, energies)
    ids = shuffled([id_ for row, id_ in enumerate(store.ids) if row not in (3, 7)])
    split = official_split(made_up(rule), store, "energy")
    assert (list(split.train), list(split.val), list(split.test)) == (ids[:15], ids[-4:-1], ids[-1:])
    assert split.rule == "official split of made-up"


def test_crystals_that_could_not_be_read_take_part_and_are_left_out(tmp_path: Path) -> None:
    """Of 20 records the 5th is unreadable and the 9th has no value: the others keep their parts."""
    rule = OfficialSplit("shuffle", {"train": 13, "val": 3, "test": 3})
    whole = official_split(made_up(rule), store_of(tmp_path, [*map(float, range(19))]), "energy")
    ids = {f"c{row}" for row in range(18)}
    energies: list[float | None] = [float(row) for row in range(18)]
    absent = [
        {"position": 4, "id": "unreadable", "label": None, "targets": {"energy": 1.0}},
        {"position": 8, "id": "without-value", "label": None, "targets": {}},
    ]
    store = store_of(tmp_path / "absent", energies, absent=absent)
    assert Roster.of(store).ids[3:10] == ["c3", "unreadable", "c4", "c5", "c6", "without-value", "c7"][:7]
    split = official_split(made_up(rule), store, "energy")
    assert set(split.train) | set(split.val) | set(split.test) == ids
    names = dict(
        zip(
            [f"c{row}" for row in range(19)],
            [f"c{row}" for row in range(4)] + ["unreadable"] + [f"c{row}" for row in range(4, 18)],
            strict=True,
        )
    )
    for label in LABELS:
        assert [names[id_] for id_ in getattr(whole, label) if names[id_] != "unreadable"] == list(
            getattr(split, label)
        )


def test_a_split_by_files(tmp_path: Path) -> None:
    rule = OfficialSplit("files", {"train": 2, "val": 1, "test": 1}, ends={"train": ("c0", "c1")})
    store = store_of(tmp_path, [0.0, 1.0, 2.0, 3.0], ["train", "train", "val", "test"])
    split = official_split(made_up(rule), store, "energy")
    assert (split.train, split.val, split.test) == (("c0", "c1"), ("c2",), ("c3",))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"counts": {"train": 16, "val": 3, "test": 3}},
            r"expected from 22 to 24 crystals with a value, got 20",
        ),
        (
            {"counts": {"train": 5, "val": 3, "test": 3}},
            r"expected from 11 to 13 crystals with a value, got 20",
        ),
        (
            {"ends": {"val": ("c0", "c1")}},
            r"expected val ids from c0 to c1, got c\d+ to c\d+: the file is not the",
        ),
        ({"rule": "files"}, r"expected 14 / 3 / 3 crystals, got 0 / 0 / 0"),
    ],
)
def test_other_data_are_refused(tmp_path: Path, changes: dict, complaint: str) -> None:
    rule = replace(OfficialSplit("shuffle", {"train": 14, "val": 3, "test": 3}), **changes)
    with pytest.raises(ValueError, match=complaint):
        official_ids(made_up(rule), Roster.of(store_of(tmp_path, [*map(float, range(20))])), "energy")


def test_a_target_that_the_rule_goes_by_must_be_there(tmp_path: Path) -> None:
    rule = OfficialSplit("shuffle", {"train": 14, "val": 3, "test": 3}, needs=("energy", "hull"))
    with pytest.raises(ValueError, match="the prepared data lack hull"):
        official_split(made_up(rule), store_of(tmp_path, [*map(float, range(20))]), "energy")


def test_a_fold_is_the_test_split_and_validation_comes_from_the_rest(tmp_path: Path) -> None:
    dataset = DATASETS["matbench-jdft2d"]
    crystals = [
        Crystal(f"mb-jdft2d-{row:03d}", 4 * np.eye(3), [[0, 0, 0]], [14], {"exfoliation_energy": 1.0 * row})
        for row in range(1, 637)
    ]
    store = ArrayStore.open(write_store(tmp_path, "matbench-jdft2d", crystals, {}, {}))
    splits = [fold_split(dataset, store, "exfoliation_energy", fold, 0.1, 123) for fold in range(5)]
    assert [split.counts for split in splits[:2]] == [
        {"train": 458, "val": 50, "test": 128}, {"train": 459, "val": 50, "test": 127},
    ]  # fmt: skip
    assert sorted(id_ for split in splits for id_ in split.test) == list(store.ids)
    for split in splits:
        assert set(split.train) | set(split.val) | set(split.test) == set(store.ids)
    assert fold_split(dataset, store, "exfoliation_energy", 0, 0.1, 7).test == splits[0].test
    assert fold_split(dataset, store, "exfoliation_energy", 0, 0.1, 7).val != splits[0].val


def test_ids_of_the_source() -> None:
    assert [source_id(id_) for id_ in ("mp-1", "mp-1/bulk", "JVASP-2#2", "mp-1/bulk#3")] == [
        "mp-1", "mp-1", "JVASP-2", "mp-1",
    ]  # fmt: skip
