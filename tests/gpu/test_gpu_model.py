"""The whole model with the GPU kernel: the authors' numbers, and every place where attention is summed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from crystalformer_oracle import random_state
from sync_guard import NoWaiting

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.crystal import Crystal
from crystalformer.data.device_batches import DeviceBatches
from crystalformer.data.image_batch import ImageBatches
from crystalformer.data.store_writer import write_store
from crystalformer.data.targets import TargetScaler
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.kernels import gpu
from crystalformer.model.official import evaluate
from crystalformer.training.config import TrainConfig
from crystalformer.training.loop import Trainer, TrainingData

REFERENCE = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "official_outputs.npz"


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"no shared/reference/{REFERENCE.name}")
@pytest.mark.parametrize(
    ("variant", "domain"),
    [("A_real_r2", "real"), ("B_simplified_r2", "real"), ("D_real-reci_r2", "real-reci")],
)
def test_the_authors_outputs(variant, domain):
    with np.load(REFERENCE) as file:
        stored = dict(file)
    simplified = variant.startswith("B")
    state = {
        name.removeprefix("state/"): weights
        for name, weights in stored.items()
        if name.startswith("state/") and not (simplified and "pe_dist_proj" in name)
    }
    first = slice(stored["sizes"][0])
    crystal = stored["atomic_numbers"][first], stored["positions"][first], stored["lattices"][0]
    found = evaluate(
        state,
        [crystal],
        domain=domain,
        lattice_range=2,
        adaptive=False,
        gauss_scale=stored[f"{variant}/gauss_scale"],
        dtype="float64",
        kernel="gpu",
    )
    np.testing.assert_allclose(found, stored[f"{variant}/out_eval"][:1], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("domain", "adaptive"), [("real", True), ("multihead", False), ("reci", False), ("real-reci", False)]
)
def test_it_agrees_with_the_reference_in_every_domain(domain, adaptive):
    rng = np.random.default_rng(0)
    crystals = [(rng.integers(1, 90, n), rng.uniform(0, 4, (n, 3)), 4.0 * np.eye(3)) for n in (2, 3)]
    state = random_state(rng, blocks=2, width=8, heads=2, ff_width=12, basis=6)
    settings = {"domain": domain, "lattice_range": 1, "adaptive": adaptive, "dtype": "float64"}
    found, expected = (
        evaluate(state, crystals, kernel=kernel, **settings) for kernel in ("gpu", "reference")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


MODEL = {"num_layers": 2, "width": 8, "heads": 2, "ff_width": 8, "value_basis": 8, "radius": 3.5}


@pytest.fixture
def batches(tmp_path):
    rng = np.random.default_rng(5)
    crystals = [
        Crystal(
            f"c-{i}", 4.5 * np.eye(3) + rng.random((3, 3)), rng.random((n, 3)), rng.integers(1, 90, n), {}
        )
        for i, n in enumerate(rng.integers(1, 5, 12))
    ]
    store = ArrayStore.open(write_store(tmp_path / "stores", "toy", crystals, {}, {}))
    return ImageBatches(store, rng.normal(size=(12, 1)), tmp_path / "cache", 3.5)


def gradients(batches, kernel, device, padded):
    torch.manual_seed(0)
    rows = np.array([4, 1, 8])
    model = Crystalformer(CrystalformerConfig(lattice_range="radius", kernel=kernel, **MODEL)).to(device)
    model.calibrate(batches(rows).to(device))
    batch = DeviceBatches(batches, np.arange(12), device)(rows) if padded else batches(rows).to(device)
    (model(batch)[:3] - batch.targets[:3]).abs().mean().backward()
    return {name: p.grad.cpu() for name, p in model.named_parameters()}


def test_a_padded_batch_has_the_gradients_of_the_reference(batches, device):
    expected = gradients(batches, "reference", "cpu", padded=False)
    for name, gradient in gradients(batches, "gpu", device, padded=True).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_the_host_waits_for_nothing_between_the_launches(batches, device, monkeypatch):
    class Launches:
        def __getitem__(self, grid):
            return lambda *arguments, **constants: None

    for name in ("forward_atom", "backward_query", "backward_key"):
        monkeypatch.setattr(gpu, name, Launches())
    batch = DeviceBatches(batches, np.arange(12), device)(np.arange(3))
    torch.manual_seed(0)
    model = Crystalformer(CrystalformerConfig(lattice_range="radius", kernel="gpu", **MODEL)).to(device)
    with NoWaiting() as guard:
        model(batch).sum().backward()
    assert guard.operations > 50


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: captures CUDA graphs")
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_captured_training_agrees_with_the_usual_loop(batches, optimizer):
    values = batches.scaled_targets[:, 0]
    scaler = TargetScaler.fit(values[:8][:, None], None)
    data = TrainingData(batches, np.arange(8), np.arange(8, 12), values, batches.store.sizes, scaler)
    records = {}
    for on_device in (False, True, True):
        torch.manual_seed(0)
        model = Crystalformer(CrystalformerConfig(lattice_range="radius", **MODEL)).to("cuda")
        model.calibrate(batches(np.arange(4)).to("cuda"))
        config = TrainConfig(epochs=6, batch_size=2, lr=1e-3, swa_epochs=2, optimizer=optimizer)
        run = Trainer(model, data, config, 0, "cuda", on_device)
        found = [record.val_mae for record in run]
        if on_device:
            assert run._device_steps.graphs
        assert found == records.setdefault(on_device, found)  # the same bits
    assert records[True] == pytest.approx(records[False], rel=1e-4)
