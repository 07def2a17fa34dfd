"""Small random crystals with a fixed seed, and stores of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.store_writer import write_store

MakeCrystals = Callable[..., list[Crystal]]


def random_crystals(count: int, seed: int = 0, labels: bool = False) -> list[Crystal]:
    rng = np.random.default_rng(seed)
    crystals = []
    for i in range(count):
        atoms = int(rng.integers(1, 9))
        crystals.append(
            Crystal(
                id=f"c-{i}",
                lattice=4 * np.eye(3) + rng.uniform(-0.5, 0.5, (3, 3)),
                frac_coords=rng.uniform(-1, 2, (atoms, 3)),
                numbers=rng.integers(1, 95, atoms),
                targets={"energy": float(rng.normal())} | ({"gap": float(rng.uniform())} if i % 2 else {}),
                split=("train", "train", "val", "test", None)[i % 5] if labels else None,
            )
        )
    return crystals


@pytest.fixture
def make_crystals() -> MakeCrystals:
    return random_crystals


@pytest.fixture
def store(tmp_path: Path) -> ArrayStore:
    """Fifty crystals; every other one has the target gap, most carry a split label."""
    return ArrayStore.open(
        write_store(tmp_path / "stores", "toy", random_crystals(50, labels=True), {"energy": "eV/atom"}, {})
    )
