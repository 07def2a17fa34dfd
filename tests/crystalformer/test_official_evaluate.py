"""`official.evaluate` against the NumPy implementation, in variants and shapes that nobody published."""

import numpy as np
import pytest
import torch
from crystalformer_oracle import Settings, random_state, run

from crystalformer.model.official import evaluate

DOMAINS = ["real", "reci", "multihead", "real-reci", "reci-multihead-real"]


@pytest.fixture
def crystals(random_crystal):
    """Skewed cells, of either handedness, one of them a single atom."""
    rng = np.random.default_rng(21)
    shapes = ((3, 3.4, True), (1, 2.4, False), (2, 6.5, True), (5, 4.5, False))
    return [random_crystal(rng, *shape) for shape in shapes]


def arrays_of(crystals):
    numbers, positions, lattices = zip(*crystals, strict=True)
    return np.concatenate(numbers), np.concatenate(positions), np.stack(lattices), [len(z) for z in numbers]


def state_of(seed=0, domain="real", heads=4, **shape):
    shape = {"blocks": 3, "width": 16, "heads": heads, "ff_width": 12, "basis": 6} | shape
    return random_state(np.random.default_rng(seed), **shape)


def expected_of(state, crystals, gauss_scale=None, **settings):
    return run(state, *arrays_of(crystals), Settings(**settings), gauss_scale).outputs


def assert_same(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    ("lattice_range", "adaptive"), [(2, False), (1, False), (1, True), (2, True), (3, True)]
)
def test_every_domain_and_range(crystals, domain, lattice_range, adaptive):
    state = state_of(targets=2)
    ours = evaluate(
        state, crystals, domain=domain, lattice_range=lattice_range, adaptive=adaptive, dtype=torch.float64
    )
    expected = expected_of(
        state,
        crystals,
        heads=4,
        domain=domain,
        lattice_range="adaptive" if adaptive else lattice_range,
        minimum_box=lattice_range,
        reciprocal_range=lattice_range,
    )
    assert ours.shape == (4, 2)
    assert_same(ours, expected)


@pytest.mark.parametrize(
    "shape", [{"blocks": 1, "width": 12, "heads": 6}, {"blocks": 5, "heads": 2, "basis": 9}]
)
@pytest.mark.parametrize("domain", ["real", "multihead"])
def test_shapes_are_read_from_the_weights(crystals, shape, domain):
    state = state_of(1, **shape)
    scales = np.random.default_rng(2).uniform(0.3, 0.9, (shape["blocks"], 2))
    ours = evaluate(
        state,
        crystals,
        domain=domain,
        lattice_range=2,
        adaptive=False,
        gauss_scale=scales,
        dtype=torch.float64,
    )
    settings = {"heads": shape["heads"], "domain": domain, "lattice_range": 2}
    assert_same(ours, expected_of(state, crystals, scales, **settings))


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_simplified_model_has_eight_heads(crystals, domain):
    state = state_of(3, heads=8, basis=0)
    ours = evaluate(state, crystals, domain=domain, lattice_range=2, adaptive=True, dtype=torch.float64)
    assert_same(ours, expected_of(state, crystals, heads=8, domain=domain))


def test_keys_without_use_may_be_there_or_not(crystals):
    state = state_of(4)
    options = {"domain": "reci-real", "lattice_range": 2, "adaptive": True, "dtype": torch.float64}
    expected = expected_of(state, crystals, heads=4, domain="reci-real")
    unused = {f"encoder.layers.{i}.self_attn.atten_scale": np.zeros(1) for i in range(3)}
    unset = {f"encoder.layers.{i}.self_attn.gauss_scale": np.zeros(2) for i in range(3)}
    assert_same(evaluate(state | unused | unset, crystals, **options), expected)
    fewer = {
        k: v
        for k, v in state.items()
        if k not in [f"encoder.layers.{i}.self_attn.pe_dist_proj" for i in (0, 2)]
    }
    assert len(fewer) == len(state) - 2
    assert_same(evaluate(fewer, crystals, **options), expected)


def test_tensors_and_stored_statistics(crystals):
    scales = np.array([[0.9, 0.2], [0.7, -0.3], [1.1, 0.0]])
    state = {name: torch.nn.Parameter(torch.tensor(w)) for name, w in state_of(5).items()}
    state |= {f"encoder.layers.{i}.self_attn.gauss_scale": torch.tensor(scales[i]) for i in range(3)}
    ours = evaluate(state, crystals, domain="real", lattice_range=2, adaptive=True, dtype="float64")
    arrays = {name: w.detach().numpy() for name, w in state.items()}
    assert_same(ours, expected_of(arrays, crystals, scales, heads=4))


def test_multihead_without_psi_as_in_the_fallback(crystals):
    state = state_of(6)
    options = {"domain": "multihead", "lattice_range": 2, "adaptive": False, "dtype": torch.float64}
    without = {k: v for k, v in state.items() if "pe_dist_proj" not in k}
    dropped = evaluate(state, crystals, **options, drop_beta=True)
    assert_same(dropped, expected_of(without, crystals, heads=4, domain="multihead", lattice_range=2))
    assert np.abs(dropped - evaluate(state, crystals, **options)).max() > 1e-2


def test_many_crystals_are_one_first_batch(crystals):
    state, many = state_of(7), crystals * 10
    options = {"domain": "real", "lattice_range": 1, "adaptive": False, "dtype": torch.float64}
    assert_same(evaluate(state, many, **options), expected_of(state, many, heads=4, lattice_range=1))


def test_evaluation_leaves_the_random_generator_alone(crystals):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    evaluate(state_of(), crystals, domain="real", lattice_range=1, adaptive=False, dtype="float32")
    assert torch.rand(1) == expected


def test_a_kernel_that_cannot_run_here_is_an_error_that_says_so(crystals, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"kernel: expected .* for 'gpu',.* found none; "):
        evaluate(
            state_of(),
            crystals,
            domain="reci-real",
            lattice_range=1,
            adaptive=False,
            dtype="float64",
            kernel="gpu",
        )


@pytest.mark.parametrize("dtype", [torch.float64, "float64", np.float64, np.dtype("f8"), torch.float32])
def test_numbers_of_any_kind(crystals, dtype):
    state = state_of(8)
    whole = [
        (numbers.tolist(), positions.tolist(), torch.tensor(lattice))
        for numbers, positions, lattice in crystals
    ]
    ours = evaluate(state, whole, domain="reci", lattice_range=np.int64(2), adaptive=True, dtype=dtype)
    assert isinstance(ours, np.ndarray)
    assert ours.dtype == (np.float32 if dtype is torch.float32 else np.float64)
    np.testing.assert_allclose(ours, expected_of(state, crystals, heads=4, domain="reci"), rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mlp.3.weight": None}, "state: expected 'mlp.3.weight', got no such key"),
        ({"mlp.3.bias": None}, r"missing: \['mlp.3.bias'\]"),
        ({"mlp.9.bias": np.zeros(1)}, r"unexpected: \['mlp.9.bias'\]"),
        ({"encoder.layers.1.linear1.bias": np.zeros(3)}, r"linear1.bias: expected \(12,\)"),
        ({"encoder.layers.1.self_attn.pe_dist_proj": None}, "missing: .*layers.1.self_attn.pe_dist_proj"),
        ({"encoder.layers.0.self_attn.pe_dist_proj": np.zeros(3)}, "pe_dist_proj: expected 4 axes"),
        (
            {"encoder.layers.2.self_attn.pe_dist_proj": np.zeros((1, 4, 4, 5))},
            r"\(4, 4, 6\).*got \(4, 4, 5\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(crystals, change, message):
    state = {name: w for name, w in (state_of() | change).items() if w is not None}
    with pytest.raises(ValueError, match=message):
        evaluate(state, crystals, domain="real", lattice_range=2, adaptive=False, dtype=torch.float64)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"domain": "fourier"}, "domain: expected real, reci, multihead, or several .* got 'fourier'"),
        ({"lattice_range": -1}, "lattice_range: expected an integer from 0 to 10.* got -1"),
        ({"gauss_scale": np.ones((2, 2))}, "gauss_scale: expected 3 rows, one per block, got 2"),
        (
            {"gauss_scale": np.ones((3, 3))},
            r"gauss_scale: expected rows \[1/s, -m\], got one of shape \(3,\)",
        ),
        ({"dtype": "int64"}, "dtype: expected a floating-point type such as torch.float64, got 'int64'"),
        (
            {"dtype": "double-ish"},
            "dtype: expected a floating-point type such as torch.float64, got 'double-ish'",
        ),
        ({"crystals": []}, "crystals: expected at least one"),
        (
            {"crystals": [([1, 8], np.zeros((1, 3)), np.eye(3))]},
            r"crystals\[0\]: positions: expected shape \(2, 3\)",
        ),
        (
            {"crystals": [([], np.zeros((0, 3)), np.eye(3))]},
            r"crystals\[0\]: numbers: expected whole numbers",
        ),
        ({"crystals": [([99], np.zeros((1, 3)), np.eye(3))]}, "got Z = 99 in atom 0 of crystal 0"),
    ],
)
def test_impossible_arguments_are_named(crystals, argument, message):
    options = {
        "crystals": crystals,
        "domain": "real",
        "lattice_range": 2,
        "adaptive": False,
        "dtype": "float64",
    }
    with pytest.raises(ValueError, match=message):
        evaluate(state_of(), **options | argument)
