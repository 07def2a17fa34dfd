"""Small random crystals as an array store, for all tests of the baselines."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.store_writer import write_store

StoreOf = Callable[[Sequence[Crystal]], ArrayStore]


@pytest.fixture
def store_of(tmp_path: Path) -> StoreOf:
    """Crystals -> opened store."""

    def write(crystals: Sequence[Crystal]) -> ArrayStore:
        return ArrayStore.open(write_store(tmp_path / "stores", "toy", crystals, {}, {"source": "random"}))

    return write


@pytest.fixture
def random_crystals() -> Callable[..., list[Crystal]]:
    """(count, seed, smallest, largest number of atoms) -> crystals with 15 Å³ per atom and without ties."""

    def draw(count: int, seed: int = 0, smallest: int = 1, largest: int = 6) -> list[Crystal]:
        rng = np.random.default_rng(seed)
        crystals = []
        for number in range(count):
            atoms = int(rng.integers(smallest, largest + 1))
            lattice = np.eye(3) + rng.uniform(-0.25, 0.25, size=(3, 3))
            lattice *= (15 * atoms / abs(np.linalg.det(lattice))) ** (1 / 3)
            crystals.append(
                Crystal(
                    id=f"toy-{number}",
                    lattice=lattice,
                    frac_coords=rng.random((atoms, 3)),
                    numbers=rng.integers(1, 101, size=atoms),
                    targets={"energy": float(rng.normal())},
                )
            )
        return crystals

    return draw
