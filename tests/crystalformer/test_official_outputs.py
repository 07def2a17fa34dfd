"""The numbers of the authors' implementation, float64, which the model must reproduce exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from crystalformer_oracle import Settings, run

from crystalformer.data.batch import CrystalBatch
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.official import evaluate, load_official_state

REFERENCE = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "official_outputs.npz"
pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason=f"no shared/reference/{REFERENCE.name}")
CONFIGS = {
    "A_real_r2": CrystalformerConfig(lattice_range=2),
    "B_simplified_r2": CrystalformerConfig(lattice_range=2, value_basis=0),
    "D_real-reci_r2": CrystalformerConfig(lattice_range=2, domain="real-reci"),
    "E_reci_r2": CrystalformerConfig(lattice_range=2, domain="reci"),
}
DOMAINS = {name: config.domain for name, config in CONFIGS.items()}


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE) as file:
        return dict(file)


@pytest.fixture
def batch(reference):
    fields = {name: torch.from_numpy(reference[name]) for name in ("positions", "lattices", "sizes")}
    targets = torch.zeros(6, 1, dtype=torch.float64)
    numbers = torch.from_numpy(reference["atomic_numbers"])
    return CrystalBatch(numbers=numbers, targets=targets, indices=torch.arange(6), **fields)


def official_state(reference, variant):
    state = {name.removeprefix("state/"): w for name, w in reference.items() if name.startswith("state/")}
    if variant.startswith("B"):
        state = {name: w for name, w in state.items() if "pe_dist_proj" not in name}
    return state


def official_model(reference, variant, config=None, calibrated=True):
    model = Crystalformer(config or CONFIGS[variant]).double()
    scales = reference[f"{variant}/gauss_scale"] if calibrated else None
    load_official_state(model, official_state(reference, variant), scales)
    return model


def crystals_of(reference):
    starts = np.cumsum(reference["sizes"])[:-1]
    columns = (np.split(reference[name], starts) for name in ("atomic_numbers", "positions"))
    return list(zip(*columns, reference["lattices"], strict=True))


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("variant", CONFIGS)
@pytest.mark.parametrize("kernel", ["cpu", "reference"])
def test_outputs_and_hidden_features(reference, batch, variant, kernel):
    model = official_model(reference, variant, replace(CONFIGS[variant], kernel=kernel))
    hidden = []
    for block in model.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: hidden.append(output))
    assert_same(model(batch), reference[f"{variant}/out_eval"])
    assert_same(torch.stack(hidden), reference[f"{variant}/hidden"])


def test_a_larger_box(reference, batch):
    model = official_model(reference, "A_real_r2", CrystalformerConfig(lattice_range=6))
    assert_same(model(batch), reference["A_real_r6/out_eval_with_r2_gauss_scale"])


def test_adaptive_is_near_the_converged_sum(reference, batch):
    model = official_model(reference, "A_real_r2", CrystalformerConfig())
    error = np.abs(model(batch).detach().numpy() - reference["A_real_r6/out_eval_with_r2_gauss_scale"]).max()
    assert 1e-6 < error < 1e-4  # 2.5e-5 over all crystals and ranges of sigma


@pytest.mark.parametrize("variant", CONFIGS)
def test_calibration_on_the_first_batch(reference, batch, variant):
    model = official_model(reference, variant, calibrated=False)
    assert not model.calibrated
    model.calibrate(batch)
    decays = [block.attention.decay for block in model.blocks]
    scales = torch.stack([torch.stack([1 / d.std, -d.mean]) for d in decays])
    assert_same(scales, reference[f"{variant}/gauss_scale"])
    assert_same(model(batch), reference[f"{variant}/out_train_first"])


def test_attention_of_the_first_block(reference, batch):
    model = official_model(reference, "A_real_r2")
    attention = model.blocks[0].attention
    y = attention.mix(model.embed(batch), model.geometry(batch))
    assert_same(y, reference["A_real_r2/layer0/y"])


@pytest.mark.parametrize("kernel", ["cpu", "reference"])
def test_gradients(reference, batch, kernel):
    model = official_model(reference, "A_real_r2", replace(CONFIGS["A_real_r2"], kernel=kernel))
    (model(batch) * torch.from_numpy(reference["loss_weights"])).sum().backward()
    prefix = "A_real_r2/grad/"
    gradients = {name.removeprefix(prefix): g for name, g in reference.items() if name.startswith(prefix)}
    theirs = Crystalformer(CONFIGS["A_real_r2"]).double()
    load_official_state(theirs, gradients)  # the same renaming, with gradients in place of weights
    for (name, parameter), expected in zip(model.named_parameters(), theirs.parameters(), strict=True):
        assert parameter.grad is not None
        np.testing.assert_allclose(parameter.grad, expected.detach(), rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("variant", CONFIGS)
@pytest.mark.parametrize("calibrated", [True, False])
def test_evaluation_of_published_weights(reference, variant, calibrated):
    scales = reference[f"{variant}/gauss_scale"] if calibrated else None
    ours = evaluate(
        official_state(reference, variant),
        crystals_of(reference),
        domain=DOMAINS[variant],
        lattice_range=2,
        adaptive=False,
        gauss_scale=scales,
        dtype=torch.float64,
    )
    assert ours.shape == (6, 1)
    np.testing.assert_allclose(ours, reference[f"{variant}/out_eval"], rtol=0, atol=1e-10)


def test_evaluation_with_a_larger_box(reference):
    ours = evaluate(
        official_state(reference, "A"),
        crystals_of(reference),
        domain="real",
        lattice_range=6,
        adaptive=False,
        gauss_scale=reference["A_real_r2/gauss_scale"],
        dtype="float64",
    )
    expected = reference["A_real_r6/out_eval_with_r2_gauss_scale"]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-10)


def test_single_precision_is_close(reference, batch):
    model = official_model(reference, "A_real_r2").float()
    ours = model(batch.to("cpu", torch.float32)).detach().numpy()
    np.testing.assert_allclose(ours, reference["A_real_r2/out_eval"], atol=2e-5)


def test_the_oracle_of_the_other_tests(reference):
    arrays = [reference[name] for name in ("atomic_numbers", "positions", "lattices", "sizes")]
    result = run(official_state(reference, "A"), *arrays, Settings(lattice_range=2))
    np.testing.assert_allclose(result.outputs, reference["A_real_r2/out_train_first"], atol=1e-12)
    np.testing.assert_allclose(result.gauss_scale, reference["A_real_r2/gauss_scale"], atol=1e-12)
    np.testing.assert_allclose(result.hidden, reference["A_real_r2/hidden"], atol=1e-12)
    np.testing.assert_allclose(result.y, reference["A_real_r2/layer0/y"], atol=1e-12)
    pairs = [array.reshape(-1, *array.shape[2:]) for array in result.alpha]
    np.testing.assert_allclose(np.concatenate(pairs), reference["A_real_r2/layer0/alpha"], atol=1e-12)
    pairs = [array.reshape(-1, *array.shape[2:]) for array in result.beta]
    np.testing.assert_allclose(np.concatenate(pairs), reference["A_real_r2/layer0/beta"], atol=1e-12)
