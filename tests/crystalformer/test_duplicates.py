"""Near-duplicates between splits: found by the stated rule, at its edges, and nothing beyond it."""

from pathlib import Path

import numpy as np
import pytest

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.duplicates import Duplicates, duplicates
from crystalformer.data.store_writer import write_store

CELL = np.diag([4.0, 4.0, 5.0])


def crystal(id_: str, numbers: list[int], lattice: np.ndarray = CELL, mixed: object = None) -> Crystal:
    coords = np.linspace(0, 1, 3 * len(numbers), endpoint=False).reshape(-1, 3)
    more = {} if mixed is None else {"mixed": np.array(mixed, dtype=np.float64)}
    return Crystal(id_, lattice, coords, np.array(numbers, dtype=np.uint8), {"x": 1.0}, None, **more)


def found(folder: Path, train: list[Crystal], others: list[Crystal]) -> Duplicates:
    store = ArrayStore.open(write_store(folder, "cells", [*train, *others], {"x": None}, {}))
    return duplicates(store, [each.id for each in train], [each.id for each in others])


def test_composition_size_and_volume_decide(tmp_path: Path) -> None:
    train = [crystal("seen", [11, 17])]
    others = [
        crystal("same", [17, 11]),
        crystal("other element", [11, 35]),
        crystal("twice the cell", [11, 11, 17, 17], CELL @ np.diag([1, 1, 2.0])),
        crystal("0.9 % larger", [11, 17], CELL * 1.009 ** (1 / 3)),
        crystal("1.1 % larger", [11, 17], CELL * 1.011 ** (1 / 3)),
        crystal("1.1 % smaller", [11, 17], CELL * 0.989 ** (1 / 3)),
        crystal("another shape", [11, 17], np.diag([2.0, 8.0, 5.0])),
    ]
    result = found(tmp_path, train, others)
    assert result.near == ("same", "0.9 % larger", "another shape")
    assert result.same_cell == ("same", "0.9 % larger")


def test_ratio_of_elements_is_not_enough_and_order_does_not_matter(tmp_path: Path) -> None:
    train = [crystal("a", [8, 8, 22]), crystal("b", [22, 22, 8])]
    assert found(tmp_path, train, [crystal("c", [8, 22, 8])]).near == ("c",)
    assert found(tmp_path, [crystal("b", [22, 22, 8])], [crystal("c", [8, 22, 8])]).near == ()


@pytest.mark.parametrize("handed", [1, -1])
def test_rotation_order_and_hand_of_the_axes_do_not_matter(tmp_path: Path, handed: int) -> None:
    lattice = np.array([[3.0, 0, 0], [0.5, 4.0, 0], [0.2, 0.9, 5.0]])
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    other = handed * lattice[[2, 0, 1]] @ turn
    result = found(tmp_path, [crystal("seen", [6, 7], lattice)], [crystal("turned", [6, 7], other)])
    assert result == Duplicates(("turned",), ("turned",))


def test_an_angle_makes_another_cell(tmp_path: Path) -> None:
    def sheared(degrees: float) -> np.ndarray:
        angle = np.radians(degrees)
        return np.array([[4.0, 0, 0], [4 * np.cos(angle), 4 * np.sin(angle), 0], [0, 0, 5.0]])

    others = [crystal("near", [6, 7], sheared(90.8)), crystal("far", [6, 7], sheared(92))]
    assert found(tmp_path, [crystal("seen", [6, 7])], others) == Duplicates(("near", "far"), ("near",))


def test_mixed_crystals_are_compared_with_none(tmp_path: Path) -> None:
    mixed = [[0, 11, 0.5], [0, 19, 0.5]]
    assert found(tmp_path, [crystal("seen", [11, 17])], [crystal("mixed", [11, 17], mixed=mixed)]).near == ()
