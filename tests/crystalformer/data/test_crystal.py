"""`Crystal` accepts real structures and names what is wrong with impossible ones."""

from typing import Any

import numpy as np
import pytest

from crystalformer.data.crystal import Crystal

CESIUM_CHLORIDE: dict[str, Any] = {
    "id": "CsCl",
    "lattice": 4.12 * np.eye(3),
    "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]],
    "numbers": [55, 17],
}


def test_lists_become_arrays_of_the_documented_types() -> None:
    crystal = Crystal(**CESIUM_CHLORIDE, targets={"energy": -1})
    assert len(crystal) == 2
    assert crystal.lattice.dtype == crystal.frac_coords.dtype == np.float64
    assert crystal.numbers.dtype == np.int64
    assert crystal.targets == {"energy": -1.0}
    assert isinstance(crystal.targets["energy"], float)


def test_arrays_are_read_only_copies() -> None:
    lattice = 4.12 * np.eye(3)
    crystal = Crystal(**CESIUM_CHLORIDE | {"lattice": lattice})
    lattice[0, 0] = 99
    assert crystal.lattice[0, 0] == 4.12
    with pytest.raises(ValueError, match="read-only"):
        crystal.lattice[0, 0] = 99


def test_left_handed_cells_are_cells() -> None:
    assert len(Crystal(**CESIUM_CHLORIDE | {"lattice": [[0, 4, 0], [4, 0, 0], [0, 0, 4]]})) == 2


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("numbers", [], "at least one atom"),
        ("numbers", [55, 0], r"atomic numbers 1 to 118, got \[0.0\]"),
        ("numbers", [55, 119], "atomic numbers 1 to 118"),
        ("numbers", [55, 17.5], "atomic numbers 1 to 118"),
        ("numbers", ["Cs", "Cl"], "numbers: expected numbers"),
        ("frac_coords", [[0, 0, 0]], r"frac_coords: expected shape \(2, 3\) for 2 atoms, got \(1, 3\)"),
        ("frac_coords", [[0, 0, 0], [0, np.nan, 0]], "frac_coords: expected finite values"),
        ("frac_coords", [[0, 0, 0], [0, 0]], "frac_coords: expected numbers"),
        ("lattice", np.eye(2), r"lattice: expected shape \(3, 3\), got \(2, 2\)"),
        ("lattice", [[4, 0, 0], [0, 4, 0], [4, 4, 0]], "three cell vectors that span a volume"),
        ("lattice", np.zeros((3, 3)), "three cell vectors that span a volume"),
        ("lattice", np.full((3, 3), np.inf), "lattice: expected finite values"),
        ("targets", {"energy": np.nan}, "target 'energy': expected a finite number, got nan"),
        ("targets", {"energy": "low"}, "target 'energy': expected a finite number, got 'low'"),
    ],
)
def test_impossible_values_are_refused_with_the_crystals_name(
    field: str, value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=f"crystal 'CsCl': .*{message}"):
        Crystal(**CESIUM_CHLORIDE | {field: value})


def test_empty_id_is_refused() -> None:
    with pytest.raises(ValueError, match="crystal id: expected a non-empty text"):
        Crystal(**CESIUM_CHLORIDE | {"id": " "})
