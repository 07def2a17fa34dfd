"""Dynamic frames and the angular term, against NumPy loops and by what a frame must obey."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crystalformer.model.angles import AngularBasis
from crystalformer.model.config import CrystalformerConfig, CrystalFramerConfig
from crystalformer.model.crystalformer import Crystalformer

SMALL = {
    "num_layers": 2,
    "width": 8,
    "heads": 2,
    "ff_width": 12,
    "value_basis": 6,
    "r_max": 5.0,
    "angle_basis": 5,
}
FRAMES = ["max", "weighted-pca"]
SALT = np.array([11, 17]), np.array([[0.0, 0, 0], [2.8, 0, 0]]), 2.8 * (np.ones((3, 3)) - np.eye(3))


def model_of(frames, seed=0, **changes):
    torch.manual_seed(seed)
    model = Crystalformer(CrystalformerConfig(**SMALL | {"frames": frames} | changes)).double()
    with torch.no_grad():  # larger than at the start, so that every term matters
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
        for block in model.blocks:
            block.attention.decay.mean.fill_(0.1)
            block.attention.decay.std.fill_(0.7)
    return model


def rotation(seed=1):
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    return q * np.sign(np.linalg.det(q))


@pytest.fixture
def crystal(random_crystal):
    return random_crystal(np.random.default_rng(8), 4, 4.2)


# -- against loops


def frame_by_loops(frames, weights, unit):
    """Rows e_1, e_2, e_3 from the weights and directions of the images of one atom, in one head."""
    first = unit[np.argmax(weights)]
    aside = (1 - np.abs(unit @ first)) * weights
    second = unit[np.argmax(np.where(np.abs(unit @ first) < 0.9999, aside, -1))]
    second = second - (second @ first) * first
    second /= np.linalg.norm(second)
    guide = np.array([first, second, np.cross(first, second)])
    if frames == "max":
        return guide
    scatter = (weights[:, None, None] * unit[:, :, None] * unit[:, None]).sum(0)
    towards = 2 * np.outer(first, first) + np.outer(second, second)  # decides between equal eigenvalues
    values, vectors = np.linalg.eigh(scatter + 1e-4 * np.trace(scatter) * towards)
    axes = vectors.T[np.argsort(-values)][:2]
    for axis in axes:
        along = guide @ axis
        axis *= np.sign(along[np.argmax(np.abs(along) > 0.1)])
    return np.array([*axes, np.cross(*axes)])


def mixed_by_loops(attention, x, crystal, box):
    """y of a framed attention layer for one crystal, atom by atom and head by head."""
    _, positions, lattice = crystal
    config_r0, c_dist, c_angle = attention.decay.r0, attention.c_dist, attention.c_angle
    weights = {name: p.detach().numpy() for name, p in attention.named_parameters()}
    heads, head_width, size = weights["value_encoding"].shape
    q, k, v = (
        (x @ weights[f"{n}.weight"].T + weights[f"{n}.bias"]).reshape(len(x), heads, -1)
        for n in ("query", "key", "value")
    )
    argument = ((q * weights["decay.weight"]).sum(-1) - 0.1) / 0.7
    elu = np.where(argument > 0, 0.2 * argument, np.exp(0.2 * np.minimum(argument, 0)) - 1)
    inverse_variance = (0.5 * elu + 1) / config_r0**2
    cells = np.stack(np.meshgrid(*[np.arange(-box, box + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    centres = 5.0 / size * np.arange(1, size + 1)
    angle_size = weights["angle_encoding"].shape[-1]
    angle_centres = np.linspace(-1, 1, angle_size)
    angle_sigma = attention.basis.width * 2 / (angle_size - 1)
    y = np.zeros((len(x), heads, head_width))
    for i in range(len(x)):
        shifts = (positions[:, None] + cells @ lattice - positions[i]).reshape(-1, 3)
        keys = np.repeat(np.arange(len(x)), len(cells))
        r = np.linalg.norm(shifts, axis=1)
        apart = r**2 > 1e-5
        for h in range(heads):
            logits = q[i, h] @ k[keys, h].T / np.sqrt(head_width) - inverse_variance[i, h] * r**2 / 2
            p = np.exp(logits - logits.max())
            p /= p.sum()
            b = np.exp(-((r[:, None] - centres) ** 2) / (2 * (5.0 / size) ** 2))
            y[i, h] = p @ v[keys, h] + c_dist * weights["value_encoding"][h] @ (p @ b)
            unit = shifts[apart] / r[apart, None]
            for axis, e in enumerate(frame_by_loops(attention.kind, p[apart], unit)):
                angles = np.exp(-(((unit @ e)[:, None] - angle_centres) ** 2) / (2 * angle_sigma**2))
                y[i, h] += c_angle * weights["angle_encoding"][axis, h] @ (p[apart] @ angles)
    return y


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize(
    "changes", [{}, {"angle_width": 1.0, "c_dist": 1.5, "c_angle": 6.0}, {"kernel": "reference"}]
)
def test_the_angular_term_of_a_crystal_without_symmetry(make_batch, crystal, frames, changes, monkeypatch):
    monkeypatch.setattr("crystalformer.model.angles.CHUNK", 20_000)  # some atoms at a time
    model = model_of(frames, lattice_range=2, **changes)
    attention = model.blocks[0].attention
    attention.kind = frames
    x = np.random.default_rng(3).standard_normal((4, 8))
    found = attention.mix(torch.tensor(x), model.geometry(make_batch(crystal)))
    np.testing.assert_allclose(found.detach(), mixed_by_loops(attention, x, crystal, 2), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("size", "width"), [(64, 4.0), (16, 1.0), (5, 0.5), (64, 0.3), (2, 1.0), (10, 30.0)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_the_angular_basis_is_its_formula(size, width, dtype, tolerance):
    cosine = np.linspace(-1, 1, 41)
    centres = np.linspace(-1, 1, size)
    sigma = width * 2 / (size - 1)
    expected = np.exp(-((cosine[:, None] - centres) ** 2) / (2 * sigma**2))
    found = AngularBasis(size, width)(torch.tensor(cosine, dtype=dtype))
    np.testing.assert_allclose(found, expected, atol=tolerance)


# -- frames as such


def frames_of(model, batch):
    """Frames (atoms, heads, 3, 3) of the first block."""
    attention = model.blocks[0].attention
    seen = []
    choose = attention.frames
    attention.frames = lambda *arguments: seen.append(choose(*arguments)) or seen[-1]
    model(batch)
    return seen[0]


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("adaptive", [True, False])
def test_frames_are_right_handed_turn_with_the_crystal_and_carry_no_gradient(
    make_batch, crystal, frames, adaptive
):
    model = model_of(frames, lattice_range="adaptive" if adaptive else 2)
    axes = frames_of(model, make_batch(crystal))
    assert not axes.requires_grad
    np.testing.assert_allclose(axes @ axes.transpose(-1, -2), torch.eye(3).expand_as(axes), atol=1e-12)
    np.testing.assert_allclose(torch.linalg.det(axes), 1, atol=1e-12)
    turned = crystal[0], crystal[1] @ rotation(), crystal[2] @ rotation()
    np.testing.assert_allclose(
        frames_of(model, make_batch(turned)), axes @ torch.tensor(rotation()), atol=1e-9
    )


def variants(crystal):
    numbers, positions, lattice = crystal
    order = np.random.default_rng(0).permutation(len(numbers))
    shift = np.random.default_rng(1).integers(-2, 3, (len(numbers), 3)) @ lattice
    return {
        "turned": (numbers, positions @ rotation(), lattice @ rotation()),
        "permuted": (numbers[order], positions[order], lattice),
        "moved": (numbers, positions + np.array([0.3, -7.0, 1.1]), lattice),
        "in other cells": (numbers, positions + shift, lattice),
        "supercell": (
            np.tile(numbers, 2),
            np.concatenate([positions, positions + lattice[1]]),
            lattice * [[1], [2], [1]],
        ),
    }


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("variant", variants(SALT))
def test_the_crystal_counts_not_its_description(make_batch, random_crystal, frames, symmetric, variant):
    """Also where the weights of many images are equal, as in rock salt."""
    crystal = SALT if symmetric else random_crystal(np.random.default_rng(4), 3, 3.6)
    model = model_of(frames, lattice_range=6)
    expected = model(make_batch(crystal)).item()
    assert model(make_batch(variants(crystal)[variant])).item() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("frames", FRAMES)
def test_ties_are_decided_in_single_precision_too(make_batch, frames):
    model = model_of(frames)
    expected = model(make_batch(SALT)).item()
    turned = [(SALT[0], SALT[1] @ rotation(s), SALT[2] @ rotation(s)) for s in range(6)]
    found = model.float()(make_batch(SALT, *turned, dtype=torch.float32)).detach()
    np.testing.assert_allclose(found, expected, rtol=2e-3)


@pytest.mark.parametrize("frames", FRAMES)
def test_two_evaluations_give_the_same_bits(make_batch, frames):
    model = model_of(frames)
    first = model(make_batch(SALT))
    torch.manual_seed(99)
    assert torch.equal(model(make_batch(SALT)), first)


@pytest.mark.parametrize("frames", FRAMES)
def test_frames_tell_a_crystal_from_its_mirror_image(make_batch, crystal, frames):
    mirrored = crystal[0], -crystal[1], -crystal[2]
    blind, framed = model_of("none"), model_of(frames)
    difference = [abs((m(make_batch(crystal)) - m(make_batch(mirrored))).item()) for m in (blind, framed)]
    assert difference[0] < 1e-10
    assert difference[1] > 1e-4


@pytest.mark.parametrize("frames", FRAMES)
def test_a_row_of_atoms_has_one_axis(make_batch, frames):
    """The cell is so wide that all images in reach lie on a line: any e_2 and e_3 would do."""
    row = np.array([6, 8]), np.array([[0.0, 0, 0], [1.2, 0, 0]]), np.diag([2.5, 70.0, 70.0])
    model = model_of(frames)
    axes = frames_of(model, make_batch(row))
    np.testing.assert_allclose(axes[:, :, 0].abs(), torch.tensor([1.0, 0, 0]).expand(2, 2, 3), atol=1e-12)
    assert (axes[:, :, 1:] == 0).all()
    output = model(make_batch(row))
    assert output.isfinite().all()


# -- the model


@pytest.mark.parametrize("frames", FRAMES)
def test_gradients_agree_with_finite_differences(make_batch, random_crystal, frames):
    rng = np.random.default_rng(10)
    batch = make_batch(random_crystal(rng, 2, 3.0), random_crystal(rng, 1, 2.4))
    model = model_of(frames, lattice_range=1, num_layers=1)
    # frames carry no gradient, so finite differences must not turn them
    with torch.no_grad():
        axes = frames_of(model, batch)
    model.blocks[0].attention.frames = lambda *_: axes
    names = ["angle_encoding", "value_encoding", "query.weight", "key.weight", "decay.weight"]
    names = [f"blocks.0.attention.{name}" for name in names]
    parameters = dict(model.named_parameters())

    def outputs(positions, *values):
        moved = replace(batch, positions=positions)
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), (moved,))

    inputs = batch.positions.requires_grad_(), *(parameters[n] for n in names)
    assert torch.autograd.gradcheck(outputs, inputs, fast_mode=True)


@pytest.mark.parametrize("frames", FRAMES)
def test_a_prediction_does_not_depend_on_the_rest_of_the_batch(make_batch, random_crystal, frames):
    rng = np.random.default_rng(5)
    crystals = [random_crystal(rng, n, edge) for n, edge in ((1, 2.5), (7, 6.0), (2, 3.0))]
    model = model_of(frames)
    together = model(make_batch(*crystals)).detach()
    alone = torch.cat([model(make_batch(crystal)) for crystal in crystals]).detach()
    np.testing.assert_allclose(together, alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "changes",
    [{"angle_width": 1.0}, {"c_dist": 1.5}, {"c_angle": 2.0}, {"frames": "weighted-pca"}, {"frames": "none"}],
)
def test_every_setting_acts(make_batch, crystal, changes):
    batch = make_batch(crystal)
    changed = model_of("max", seed=0, **changes) if "frames" not in changes else model_of(**changes)
    plain = model_of("max")
    with torch.no_grad():
        theirs = dict(plain.named_parameters())
        for name, parameter in changed.named_parameters():
            parameter.copy_(theirs[name])
    assert (changed(batch) - plain(batch)).abs().max() > 1e-4


def test_parameters_are_those_of_the_paper():
    """951,821 and 878,093 published; twelve of those are constants or unused (see `Crystalformer`)."""
    light = {"angle_basis": 16, "angle_width": 1.0, "c_dist": 1.5, "c_angle": 6.0}
    for config, count in ((CrystalFramerConfig(), 951_809), (CrystalFramerConfig(**light), 878_081)):
        assert sum(p.numel() for p in Crystalformer(config).parameters()) == count


def test_the_start_of_the_angular_weights():
    torch.manual_seed(0)
    encoding = Crystalformer(CrystalFramerConfig(num_layers=1)).blocks[0].attention.angle_encoding
    for axis in encoding:
        assert axis.std().item() == pytest.approx(0.0128, rel=0.03)
        assert axis.abs().max().item() == pytest.approx(0.0221, rel=0.01)
    assert not torch.equal(encoding[0], encoding[1])


def test_frames_need_images():
    with pytest.raises(ValueError, match=r"frames: expected none in the domain 'multihead', which has waves"):
        CrystalFramerConfig(domain="multihead")
