"""Each ablation of the model acts, and only as it says."""

import numpy as np
import pytest
import torch

from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer

SMALL = {"num_layers": 2, "width": 8, "heads": 2, "ff_width": 12, "value_basis": 6, "r_max": 5.0}


@pytest.fixture
def batch(make_batch, random_crystal):
    rng = np.random.default_rng(31)
    return make_batch(*(random_crystal(rng, n, edge) for n, edge in ((4, 4.2), (1, 2.6), (3, 3.7))))


def model_of(seed=0, **changes):
    torch.manual_seed(seed)
    model = Crystalformer(CrystalformerConfig(**SMALL | changes)).double()
    with torch.no_grad():  # larger than at the start, so that every term matters
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.copy_(torch.randn_like(parameter) * 0.5)
    return model


def copied(source, **changes):
    """A model with other settings and the weights of `source` where both have them."""
    model = model_of(seed=1, **changes)
    with torch.no_grad():
        theirs = dict(source.named_parameters())
        for name, parameter in model.named_parameters():
            if name in theirs:
                parameter.copy_(theirs[name])
    return model


def test_sigma_is_the_same_everywhere_where_it_is_fixed(batch):
    learned = model_of(a=0.0)  # rho = 1, whatever the query
    learned.calibrate(batch)
    fixed = copied(learned, decay="fixed")
    np.testing.assert_allclose(fixed(batch).detach(), learned(batch).detach(), rtol=1e-11)
    q = torch.randn(3, 2, 4, dtype=torch.float64)
    assert (fixed.blocks[0].attention.decay(q) == -0.5 / 1.4**2).all()
    wide = copied(learned, decay="fixed", r0=1.8)
    assert (wide(batch) - fixed(batch)).abs().max() > 1e-3


def test_unnormalised_sigma_takes_the_query_as_it_is(batch):
    plain = model_of(decay="unnormalised")
    learned = copied(plain)
    learned.calibrate(batch)
    assert (learned(batch) - plain(batch)).abs().max() > 1e-4
    for block in learned.blocks:
        block.attention.decay.mean.fill_(0)
        block.attention.decay.std.fill_(1)
    assert torch.equal(learned(batch), plain(batch))


@pytest.mark.parametrize("decay", ["fixed", "unnormalised"])
@pytest.mark.parametrize("domain", ["real", "multihead"])
def test_only_the_published_sigma_needs_a_first_batch(batch, decay, domain):
    model = model_of(decay=decay, domain=domain)
    assert model.calibrated
    before = model(batch)
    model.calibrate(batch)
    assert torch.equal(model(batch), before)
    assert not list(model.buffers())
    assert not model_of(domain=domain).calibrated


def test_normalisation_layers_are_where_they_say(batch):
    def mean_and_variance(x):
        return x.mean(1).abs().max().item(), (x.var(1, correction=0) - 1).abs().max().item()

    outputs = {}
    for norm in ("none", "pre", "post"):
        model = model_of(norm=norm)
        into, out = [], []
        for block in model.blocks:
            block.attention.register_forward_hook(lambda _m, inputs, _o, into=into: into.append(inputs[0]))
            block.register_forward_hook(lambda _m, _i, output, out=out: out.append(output))
        model.calibrate(batch)
        outputs[norm] = model(batch).detach()
        normal_in = [max(mean_and_variance(x)) < 1e-3 for x in into]
        normal_out = [max(mean_and_variance(x)) < 1e-3 for x in out]
        first_is_embedding = norm == "pre"
        assert normal_in == [first_is_embedding, norm != "none"] * 2, norm
        assert normal_out == [norm == "post"] * 4, norm
    assert len({round(value[0].item(), 6) for value in outputs.values()}) == 3


@pytest.mark.parametrize("norm", ["none", "pre", "post"])
def test_the_statistics_are_of_the_queries_that_sigma_sees(batch, norm):
    model = model_of(norm=norm)
    model.calibrate(batch)
    seen = []
    for block in model.blocks:
        attention = block.attention
        attention.query.register_forward_hook(lambda _m, _i, q, a=attention: seen.append((a, q)))
    model(batch)
    for attention, q in seen:
        x = attention.decay.argument(q.unflatten(-1, (2, -1)))
        assert x.mean().item() == pytest.approx(0, abs=1e-12)
        assert x.std().item() == pytest.approx(1)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_gradients_reach_every_layer(batch, norm):
    model = model_of(norm=norm)
    model.calibrate(batch)
    model(batch).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"decay": "fixed"}, 853_505 - 4 * 128),
        ({"decay": "unnormalised"}, 853_505),
        ({"norm": "pre"}, 853_505 + 4 * 2 * 256),
        ({"norm": "post"}, 853_505 + 4 * 2 * 256),
        ({"elements": 118}, 853_505 + 20 * 128),
        ({"output_width": 64}, 853_505 - 64 * 129 - 64),
    ],
)
def test_parameters_of_the_ablations(changes, count):
    model = Crystalformer(CrystalformerConfig(**changes))
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("norm", ["none", "pre", "post"])
@pytest.mark.parametrize("decay", ["learned", "fixed", "unnormalised"])
def test_weights_and_statistics_survive_a_round_trip(batch, tmp_path, norm, decay):
    first = model_of(norm=norm, decay=decay)
    first.calibrate(batch)
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    second = model_of(seed=2, norm=norm, decay=decay)
    second.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(first(batch), second(batch))
