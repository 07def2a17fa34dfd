import numpy as np
import pytest
import torch

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatch
from crystalformer.data.crystal import Crystal
from crystalformer.data.image_batch import ImageBatches
from crystalformer.data.store_writer import write_store


@pytest.fixture
def make_batch():
    """Builds a CrystalBatch from (numbers, Cartesian positions in Å, lattice rows in Å) of each crystal."""

    def build(*crystals, dtype=torch.float64):
        numbers, positions, lattices = zip(*crystals, strict=True)
        return CrystalBatch(
            numbers=torch.tensor(np.concatenate(numbers), dtype=torch.int64),
            positions=torch.tensor(np.concatenate(positions), dtype=dtype),
            lattices=torch.tensor(np.stack(lattices), dtype=dtype),
            sizes=torch.tensor([len(z) for z in numbers]),
            targets=torch.zeros(len(numbers), 1, dtype=dtype),
            indices=torch.arange(len(numbers)),
        )

    return build


@pytest.fixture
def random_crystal():
    """Random crystals (numbers, positions, lattice) in skewed cells about `edge` Å wide."""

    def build(rng, atoms, edge, left_handed=False):
        lattice = edge * (np.eye(3) + 0.25 * rng.uniform(-1, 1, (3, 3)))
        if left_handed:
            lattice = lattice[[1, 0, 2]]
        numbers = rng.integers(1, 99, atoms)
        return numbers, rng.uniform(-0.2, 1.2, (atoms, 3)) @ lattice, lattice

    return build


@pytest.fixture
def toy_batches(tmp_path):
    """`ImageBatches` of twelve random crystals of 1 to 7 atoms, with the images within 4 Å."""
    rng = np.random.default_rng(5)
    crystals = [
        Crystal(
            f"c-{i}", 4.5 * np.eye(3) + rng.random((3, 3)), rng.random((n, 3)), rng.integers(1, 90, n), {}
        )
        for i, n in enumerate(rng.integers(1, 8, 12))
    ]
    store = ArrayStore.open(write_store(tmp_path / "stores", "toy", crystals, {}, {}))
    return ImageBatches(store, rng.normal(size=(12, 1)), tmp_path / "cache", 4.0)
