"""The registry gives the Crystalformer the batches that its range rule asks for."""

import numpy as np
import pytest

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.image_batch import ImageBatch
from crystalformer.data.store_writer import write_store
from suite.registry import MODELS

SMALL = {"num_layers": 1, "width": 8, "heads": 2, "ff_width": 8, "value_basis": 4}


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    crystals = [
        Crystal(f"c-{n}", 4.0 * np.eye(3), rng.random((n, 3)), rng.integers(1, 90, n), {}) for n in (2, 5, 3)
    ]
    return ArrayStore.open(write_store(tmp_path / "stores", "toy", crystals, {}, {}))


@pytest.mark.parametrize(
    ("settings", "listed"),
    [
        ({"lattice_range": "adaptive"}, False),
        ({"lattice_range": 1}, False),
        ({"lattice_range": "radius", "radius": 5.0}, True),
        ({"lattice_range": "tolerance", "tolerance": 0.01}, True),
    ],
)
def test_lists_are_stored_for_a_radius_and_not_for_boxes(store, tmp_path, settings, listed):
    entry = MODELS["crystalformer"]
    config = entry.config(**SMALL | settings)
    batch = entry.batches(store, np.zeros((3, 1)), config, tmp_path / "cache")(np.array([2, 0]))
    assert isinstance(batch, ImageBatch) == listed
    assert len(list(tmp_path.glob("cache/toy-images-*"))) == listed
    model = entry.build(config)
    entry.calibrate(model, batch)
    assert model(batch).shape == (2, 1)
    if listed:
        expected = config.images_radius
        assert expected - 1 < batch.image_distances.max() <= expected
