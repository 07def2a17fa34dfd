"""The cell that is stored: pymatgen's standard primitive one, Niggli's, or that of the source."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crystalformer.data.cell_names import CELLS
from crystalformer.data.crystal import Crystal
from crystalformer.sources.cells import with_cell
from crystalformer.sources.convert import convert, prepared

FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
COPPER = Crystal("Cu", 3.6 * np.eye(3), FCC, [29] * 4, {"y": 1.0}, "val")


def volume_per_atom(crystal: Crystal) -> float:
    return abs(float(np.linalg.det(crystal.lattice))) / len(crystal)


def test_the_standard_primitive_cell_is_pymatgens() -> None:
    """Copper of four atoms in a cube has one atom and the cell vectors (0, a/2, a/2) ..."""
    found = with_cell(COPPER, "primitive-standard")
    assert found.numbers.tolist() == [29]
    np.testing.assert_allclose(found.lattice, 1.8 * (1 - np.eye(3)), atol=1e-6)
    assert (found.id, found.targets, found.split) == ("Cu", {"y": 1.0}, "val")


@pytest.mark.parametrize("seed", range(5))
def test_another_cell_is_the_same_crystal(seed: int) -> None:
    """Composition and volume per atom stay; the Niggli cell has the shortest vectors and keeps all atoms."""
    rng = np.random.default_rng(seed)
    lattice = 4 * np.eye(3) + rng.uniform(-0.5, 0.5, (3, 3))
    skewed = np.array([[1, 0, 0], [2, 1, 0], [-3, 4, 1]]) @ lattice
    crystal = Crystal("x", skewed, rng.random((3, 3)), [3, 8, 8])
    for cell in CELLS:
        found = with_cell(crystal, cell)
        assert sorted(found.numbers.tolist()) == [3, 8, 8]
        assert volume_per_atom(found) == pytest.approx(volume_per_atom(crystal), rel=1e-4)
    niggli = with_cell(crystal, "niggli")
    lengths = np.linalg.norm(niggli.lattice, axis=1)
    assert lengths.max() < np.linalg.norm(skewed, axis=1).max()
    np.testing.assert_allclose(with_cell(niggli, "niggli").lattice, niggli.lattice, atol=1e-4)


CELLS_OF_BUNDLED = """
import hashlib
from crystalformer.data.catalog import DATASETS
from crystalformer.sources.bundled import read_bundled
from crystalformer.sources.cells import with_cell

digest = hashlib.sha256()
for crystal in read_bundled(DATASETS["mp-elastic-2015"])[::12]:
    found = with_cell(crystal, "primitive-standard")
    digest.update(found.lattice.tobytes() + found.frac_coords.tobytes())
print(digest.hexdigest())
"""


def test_a_cell_is_the_same_to_the_last_bit_on_another_processor() -> None:
    """OpenBLAS with the code for a processor of 2004, without fused multiply-add, rounds otherwise."""
    found = [
        subprocess.run(
            [sys.executable, "-c", CELLS_OF_BUNDLED],
            env={**os.environ, **core},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for core in ({}, {"OPENBLAS_CORETYPE": "Prescott"})
    ]
    assert found[0] == found[1]


def test_mixed_sites_keep_their_fractions() -> None:
    alloy = Crystal(
        "a",
        3.6 * np.eye(3),
        FCC,
        [29] * 4,
        mixed=[(i, z, f) for i in range(4) for z, f in ((29, 0.6), (30, 0.3))],
    )
    found = with_cell(alloy, "primitive-standard")
    np.testing.assert_allclose(found.mixed, [[0, 29, 0.6], [0, 30, 0.3]])


def test_what_has_no_such_cell() -> None:
    with pytest.raises(
        ValueError, match="cell: expected one of as-given, primitive-standard, niggli, got 'cubic'"
    ):
        with_cell(COPPER, "cubic")
    nowhere = Crystal("x", 4 * np.eye(3), [[0, 0, 0], [0, 0, 0]], [11, 11])
    with pytest.raises(ValueError, match="crystal 'x': cell primitive-standard: not found"):
        with_cell(nowhere, "primitive-standard")


def test_the_cell_is_part_of_what_identifies_a_store(tmp_path: Path) -> None:
    entry = {"id": "Cu", "species": [29] * 4, "lattice": COPPER.lattice.tolist(), "frac": FCC}
    (tmp_path / "t.jsonl").write_text(json.dumps(entry))
    stores = {cell: convert(tmp_path / "t.jsonl", tmp_path / "data", cell=cell).store for cell in CELLS}
    assert len({store.digest for store in stores.values()}) == 3
    assert {cell: store.cell for cell, store in stores.items()} == {cell: cell for cell in CELLS}
    assert {cell: len(store.numbers) for cell, store in stores.items()} == dict(
        zip(CELLS, (4, 1, 4), strict=True)
    )
    again = prepared(tmp_path / "t.jsonl", tmp_path / "data", cell="niggli")
    assert again is not None
    assert again.path == stores["niggli"].path
