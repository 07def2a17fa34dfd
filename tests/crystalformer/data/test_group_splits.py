"""Splits by groups: no group on two sides, shares that are not exceeded, and labels of real prototypes."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.group_splits import by_groups
from crystalformer.data.store_writer import write_store
from crystalformer.sources.groups import UNKNOWN, group_names, prototype

FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=6, max_size=30),
    val=st.sampled_from([0.1, 0.2, 0.3]),
    test=st.sampled_from([0.1, 0.3]),
    seed=st.integers(0, 1000),
)
def test_no_group_is_on_two_sides(sizes: list[int], val: float, test: float, seed: int) -> None:
    groups = {f"c-{g}-{i}": (f"g{g}",) for g, size in enumerate(sizes) for i in range(size)}
    ids = list(groups)
    try:
        split = by_groups(ids, groups, "prototype", val, test, seed)
    except ValueError:  # no group is small enough, or train would be empty: see below
        assume(False)
    kinds = [{groups[id_] for id_ in part} for part in (split.train, split.val, split.test)]
    assert not kinds[0] & kinds[1]
    assert not kinds[0] & kinds[2]
    assert not kinds[1] & kinds[2]
    assert len(split.val) <= val * len(ids)
    assert len(split.test) <= test * len(ids)
    assert sorted(split.train + split.val + split.test) == sorted(ids)
    assert by_groups(ids, groups, "prototype", val, test, seed).hash == split.hash


def test_one_cluster_left_out() -> None:
    groups = {"a": ("Fe", "O"), "b": ("Fe",), "c": ("Ni", "O"), "d": ("Cu",), "e": ("Cu", "S"), "f": ("Zn",)}
    split = by_groups(list(groups), groups, "element", ("S",), ("Fe",), 0)
    assert split.test == ("a", "b")
    assert split.val == ("e",)
    assert split.train == ("c", "d", "f")
    assert split.rule == "whole groups by element: val S, test Fe"
    several = by_groups(list(groups), groups, "element", 0.2, ("Fe", "Ni"), 1)
    assert several.test == ("a", "b", "c")
    assert len(several.val) == 1


def test_unknown_groups_and_shares_that_no_group_fits() -> None:
    groups = {f"c-{i}": ("rock salt",) if i < 8 else ("fluorite",) for i in range(10)}
    with pytest.raises(ValueError, match=r"expected a prototype of the 10 crystals, got 'rocksalt'"):
        by_groups(list(groups), groups, "prototype", 0.1, ("rocksalt",), 0)
    with pytest.raises(ValueError, match=r"at most 0.1 of 10 crystals, got none, the smallest has 2"):
        by_groups(list(groups), groups, "prototype", 0.5, 0.1, 0)
    with pytest.raises(ValueError, match="expected at least one crystal in train"):
        by_groups(list(groups), groups, "prototype", ("rock salt",), ("fluorite",), 0)


def rock_salt(name: str, metal: int, anion: int, origin: float = 0.0, edge: float = 5.0) -> Crystal:
    frac = np.concatenate([np.array(FCC), np.array(FCC) + 0.5]) + origin
    return Crystal(name, edge * np.eye(3), frac, [metal] * 4 + [anion] * 4)


def test_prototypes_are_those_of_aflow() -> None:
    """Labels of the AFLOW library of prototypes, whatever the elements, the origin and the cell."""
    assert prototype(rock_salt("NaCl", 11, 17)) == "AB_cF8_225_a_b"
    assert prototype(rock_salt("MgO", 12, 8, origin=0.5, edge=4.2)) == "AB_cF8_225_a_b"
    primitive = Crystal("NaCl", 2.5 * (1 - np.eye(3)), [[0, 0, 0], [0.5] * 3], [11, 17])
    assert prototype(primitive) == "AB_cF8_225_a_b"
    cesium = Crystal("CsCl", 4.12 * np.eye(3), [[0, 0, 0], [0.5] * 3], [55, 17])
    assert prototype(cesium) == "AB_cP2_221_a_b"
    diamond = Crystal("C", 3.567 * np.eye(3), FCC + [[x + 0.25 for x in f] for f in FCC], [6] * 8)
    assert prototype(diamond) == "A_cF8_227_a"
    frac = [[0.5] * 3, [0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
    perovskite = Crystal("SrTiO3", 3.9 * np.eye(3), frac, [38, 22, 8, 8, 8])
    assert prototype(perovskite) == "A3BC_cP5_221_c_a_b"


def test_groups_of_a_store(tmp_path) -> None:
    alloy = Crystal("alloy", 3.6 * np.eye(3), FCC, [29] * 4, mixed=[(0, 29, 0.5), (0, 30, 0.4)])
    crystals = [rock_salt("NaCl", 11, 17), rock_salt("MgO", 12, 8), alloy]
    store = ArrayStore.open(write_store(tmp_path, "some", crystals, {}, {}))
    assert group_names(store, "composition")["MgO"] == ("MgO",)
    assert group_names(store, "element")["NaCl"] == ("Na", "Cl")
    assert group_names(store, "element")["alloy"] == ("Cu", "Zn")
    labels = group_names(store, "prototype")
    assert labels["NaCl"] == labels["MgO"] == ("AB_cF8_225_a_b",)
    assert labels["alloy"] == ("A_cF4_225_a",)
    nowhere = Crystal("x", 4 * np.eye(3), [[0, 0, 0], [0, 0, 0]], [11, 11])
    assert prototype(nowhere) == UNKNOWN
    assert group_names(store, "prototype") == labels  # from the cache
    with pytest.raises(ValueError, match="expected composition, element or prototype, got 'colour'"):
        group_names(store, "colour")
