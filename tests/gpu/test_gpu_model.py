"""The whole model with the GPU kernel: the authors' numbers, and every place where attention is summed."""

from pathlib import Path

import numpy as np
import pytest
from crystalformer_oracle import random_state

from crystalformer.model.official import evaluate

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
