"""What is tracked over time: `pytest benchmarks --benchmark-enable --benchmark-autosave`."""

import numpy as np
import pytest
import torch

from benchmarks.batch import RADIUS, fixed_batch
from benchmarks.models import model_store, model_trainer
from benchmarks.step import training_step
from crystalformer.data.radius_images import radius_images
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from suite.models import MODELS


@pytest.mark.parametrize("part", ["whole", "without attention"])
def test_training_step(benchmark, part):
    benchmark(training_step("cpu", fixed_batch(), without_attention=part != "whole"))


@pytest.mark.parametrize("lattice_range", ["radius", "adaptive", 2])
def test_prediction(benchmark, lattice_range):
    batch = fixed_batch()
    model = Crystalformer(CrystalformerConfig(lattice_range=lattice_range, radius=RADIUS, kernel="cpu"))
    with torch.no_grad():
        model.calibrate(batch)
        benchmark(model, batch)


def test_image_lists_of_cells_of_20_atoms(benchmark):
    """A hundred cells; one core."""
    rng = np.random.default_rng(0)
    lattices = 7.4 * np.eye(3) + rng.uniform(-1, 1, (100, 3, 3))
    positions = np.einsum("cni,cij->cnj", rng.random((100, 20, 3)), lattices).reshape(-1, 3)
    images = benchmark(radius_images, positions, lattices, np.full(100, 20), RADIUS, dtype=np.float32)
    assert len(images.counts) == 2000


@pytest.mark.parametrize("key", MODELS)
def test_training_step_of_each_model(benchmark, key, tmp_path):
    """64 crystals of 13 atoms on average, the batch of `python -m benchmarks.models`."""
    trainer = model_trainer(key, model_store(tmp_path), tmp_path)
    benchmark.pedantic(trainer.run_epoch, rounds=3, warmup_rounds=1)
