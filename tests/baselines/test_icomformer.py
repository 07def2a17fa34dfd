"""iComFormer against a float64 oracle in NumPy, and what it can tell apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from comformer_oracle import Oracle, gaussians
from numpy_layers import randomise_norms, softplus

from baselines.graphs.lattice_shells import lattice_images
from baselines.icomformer import ENTRY, IComFormer, IComFormerConfig
from crystalformer.data.crystal import Crystal

SMALL = IComFormerConfig(width=8, conv_layers=2, gaussians=12)
SALT = Crystal(
    "salt",
    2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    np.array([[0.1] * 3, [0.6] * 3]),
    np.array([11, 17]),
    {},
)


def batch_of(store, tmp_path, config: IComFormerConfig = SMALL):
    targets = np.random.default_rng(0).normal(size=(len(store), 1))
    return ENTRY.batches(store, targets, config, tmp_path / "cache")(np.arange(len(store)))


def model_of(config: IComFormerConfig = SMALL, seed: int = 0) -> IComFormer:
    """A model in float64 whose norms have left their initial values, so that each of them counts."""
    torch.manual_seed(seed)
    model = IComFormer(config).double()
    randomise_norms(model)
    return model


def exact(batch, crystals: list[Crystal]):
    """The batch with lengths and cosines that are found here, in float64."""
    batch = batch.to("cpu", torch.float64)
    owner = np.repeat(np.arange(len(crystals)), [len(crystal) for crystal in crystals])
    frac_coords = np.concatenate([crystal.frac_coords for crystal in crystals])
    distances, cosines = [], []
    lattices = [lattice_images(crystal.lattice) @ crystal.lattice for crystal in crystals]
    for i, j, n in zip(batch.edge_centers, batch.edge_neighbors, batch.edge_images.numpy(), strict=True):
        vector = (frac_coords[j] + n - frac_coords[i]) @ crystals[owner[i]].lattice
        vectors = lattices[owner[i]]
        distances.append(np.linalg.norm(vector))
        cosines.append(vectors @ vector / np.linalg.norm(vectors, axis=1) / distances[-1])
    # Rounded so that what symmetry makes equal is equal.
    return replace(
        batch,
        edge_distances=torch.tensor(np.round(distances, 12)),
        edge_cosines=torch.tensor(np.round(cosines, 12)),
        lattice_lengths=torch.tensor(np.linalg.norm(lattices, axis=2)),
    )


def oracle(model: IComFormer, crystals: list[Crystal], batch, training: bool) -> np.ndarray:
    """The published forward pass: every edge on its own, three rows of it in the update."""
    this = Oracle(model, crystals, batch, training)
    x = this.convolution("convolutions.0", this.embedded())

    crystal_of_edge = this.owner[batch.edge_centers]
    # In the published code an edge points from the atom that sends to the one that receives.
    cosines = gaussians(-batch.edge_cosines.numpy(), -1, 1, this.size)
    theta = this.linear("edge_update.angle", softplus(this.linear("cosine", cosines)))
    lam = this.of_length(batch.lattice_lengths.numpy())[crystal_of_edge]
    q, k, v = (this.linear(f"edge_update.{part}", this.e) for part in ("query", "key", "value"))
    rows: dict[str, list] = {"q": [], "k": [], "v": [], "k2": [], "v2": [], "e": []}
    for edge, m in np.ndindex(len(this.e), 3):
        rows["q"].append(q[edge])
        rows["k"].append(k[edge])
        rows["v"].append(v[edge])
        rows["k2"].append(this.linear(f"edge_update.lattice_keys.{m}", lam[edge, m]))
        rows["v2"].append(this.linear(f"edge_update.lattice_values.{m}", lam[edge, m]))
        rows["e"].append(theta[edge, m])
    table = {name: np.array(values) for name, values in rows.items()}
    messages = this.messages(
        "edge_update.messages",
        table["q"],
        [table["k"], table["k2"], table["e"]],
        [table["v"], table["v2"], table["e"]],
    )
    out = this.linear("edge_update.concat", messages).reshape(len(this.e), 3, -1).sum(axis=1)
    this.e = softplus(this.e + this.batch_norm("edge_update.norm", out))

    for layer in range(1, model.config.conv_layers):
        x = this.convolution(f"convolutions.{layer}", x)
    return this.read_out(x)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "config", [SMALL, IComFormerConfig(width=6, conv_layers=4, gaussians=9, neighbours=7, targets=2)]
)
def test_forward_agrees_with_the_oracle(store_of, random_crystals, tmp_path, config, training) -> None:
    crystals = [*random_crystals(3, seed=2), SALT]  # symmetric: rows that occur several times
    batch = batch_of(store_of(crystals), tmp_path, config)
    given, batch = batch, exact(batch, crystals)
    np.testing.assert_allclose(given.edge_distances, batch.edge_distances, rtol=2e-7)
    np.testing.assert_allclose(given.edge_cosines, batch.edge_cosines, atol=1e-7)
    model = model_of(config).train(training)
    expected = oracle(model, crystals, batch, training)
    result = model(batch)
    assert result.shape == (4, config.targets)
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-10)


def test_published_widths_agree_with_the_oracle(store_of, random_crystals, tmp_path) -> None:
    crystals = random_crystals(2, seed=3, largest=3)
    batch = exact(batch_of(store_of(crystals), tmp_path, IComFormerConfig()), crystals)
    model = model_of(IComFormerConfig()).train()
    expected = oracle(model, crystals, batch, True)
    # PyTorch's softplus leaves out what is below exp(-20).
    np.testing.assert_allclose(model(batch).detach().numpy(), expected, rtol=1e-8)


def test_running_statistics_are_those_of_all_edges(store_of, random_crystals, tmp_path) -> None:
    """Rows that occur several times count several times: a crystal in two copies changes no statistics."""
    salt = replace(SALT, numbers=np.array([3, 9]))
    models = []
    for crystals in ([salt], [salt, replace(salt, id="again")]):
        model = model_of().train()
        model(batch_of(store_of(crystals), tmp_path).to("cpu", torch.float64))
        models.append(model.state_dict())
    for name in models[0]:
        if name.endswith("running_mean"):
            torch.testing.assert_close(models[0][name], models[1][name])


def test_parameter_counts() -> None:
    def count(config: IComFormerConfig) -> int:
        return sum(p.numel() for p in IComFormer(config).parameters() if p.requires_grad)

    unused = 3 * 32 + (256 + 32) * 256 + 256  # lemb and lin_edge_len
    assert count(IComFormerConfig()) == 4_966_497 - unused == ENTRY.published_parameters
    assert count(IComFormerConfig(conv_layers=3)) == 4_111_201 - unused


# --- what it can tell apart ------------------------------------------------------------------------------


def predictions(store_of, tmp_path, crystals: list[Crystal]) -> torch.Tensor:
    batch = batch_of(store_of(crystals), tmp_path).to("cpu", torch.float64)
    model = model_of().train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0  # the running statistics become those of this batch
    with torch.no_grad():
        model(batch)
        return model.eval()(batch).flatten()


def test_a_turned_crystal_is_the_same_a_mirror_image_another(store_of, random_crystals, tmp_path) -> None:
    [crystal] = random_crystals(1, seed=8, smallest=4)
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    turned = replace(crystal, id="turned", lattice=crystal.lattice @ turn)
    mirror = replace(crystal, id="mirror", lattice=crystal.lattice @ np.diag([1, 1, -1]))
    first, rotated, reflected = predictions(store_of, tmp_path, [crystal, turned, mirror])
    torch.testing.assert_close(rotated, first, rtol=0, atol=1e-6)
    assert abs(reflected - first) > 1e-4


def test_a_crystal_with_an_inversion_centre_is_its_own_mirror_image(
    store_of, random_crystals, tmp_path
) -> None:
    [half] = random_crystals(1, seed=9, smallest=2, largest=2)
    frac_coords = np.concatenate([half.frac_coords, -half.frac_coords])
    crystal = replace(half, frac_coords=frac_coords, numbers=np.tile(half.numbers, 2))
    mirror = replace(crystal, id="mirror", lattice=-crystal.lattice)
    first, second = predictions(store_of, tmp_path, [crystal, mirror])
    torch.testing.assert_close(second, first, rtol=0, atol=1e-6)


# --- training and errors ---------------------------------------------------------------------------------


def test_gradients_are_those_of_finite_differences(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of([*random_crystals(2), SALT]), tmp_path).to("cpu", torch.float64)
    model = model_of().train()

    def loss() -> torch.Tensor:
        return (model(batch) - batch.targets).square().mean()

    loss().backward()
    step = 1e-6
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        direction = torch.randn_like(parameter)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
                values.append(loss())
                parameter -= sign * step * direction
        expected = (values[0] - values[1]) / (2 * step)
        torch.testing.assert_close((parameter.grad * direction).sum(), expected, rtol=1e-5, atol=1e-8)


def test_a_batch_of_one_atom_can_be_trained_on(store_of, random_crystals, tmp_path) -> None:
    batch = batch_of(store_of(random_crystals(1, largest=1)), tmp_path)
    model = IComFormer(SMALL).train()
    model(batch).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert torch.equal(model.convolutions[0].norm.running_mean, torch.zeros(8))


def test_elements_beyond_the_table_are_refused(store_of, random_crystals, tmp_path) -> None:
    [crystal] = random_crystals(1, smallest=3)
    heavy = replace(crystal, numbers=np.full(len(crystal.numbers), 101))
    make = ENTRY.batches(store_of([heavy]), np.zeros((1, 1)), SMALL, tmp_path)
    assert make.failures == {0: "expected elements up to Z = 100, got Z = 101"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("width", 0, "width: expected a whole number of at least 1, got 0"),
        ("conv_layers", 1, "conv_layers: expected a whole number of at least 2, got 1"),
        ("gaussians", 1, "gaussians: expected a whole number of at least 2, got 1"),
        ("neighbours", True, "neighbours: expected a whole number of at least 1, got True"),
        ("targets", 1.5, r"targets: expected a whole number of at least 1, got 1\.5"),
    ],
)
def test_bad_settings_are_named(name, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        IComFormerConfig(**{name: value})
