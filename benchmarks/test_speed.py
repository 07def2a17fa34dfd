"""What is tracked over time: `pytest benchmarks --benchmark-enable --benchmark-autosave`."""

import pytest
import torch

from benchmarks.batch import RADIUS, fixed_batch
from benchmarks.lists import cells_of_20_atoms, list_all
from benchmarks.models import model_store, model_trainer
from benchmarks.step import training_step
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from suite.registry import MODELS


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
    images = benchmark(list_all, *cells_of_20_atoms(100))
    assert len(images.counts) == 2000


@pytest.mark.parametrize("key", MODELS)
def test_training_step_of_each_model(benchmark, key, tmp_path):
    """64 crystals of 13 atoms on average, the batch of `python -m benchmarks.models`."""
    trainer = model_trainer(key, model_store(tmp_path), tmp_path)
    benchmark.pedantic(trainer.run_epoch, rounds=3, warmup_rounds=1)
