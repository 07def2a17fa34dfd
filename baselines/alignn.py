r"""ALIGNN, the atomistic line graph neural network.

K. Choudhary and B. DeCost, npj Comput. Mater. 7, 185 (2021), and https://github.com/usnistgov/alignn.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from baselines.features.atom_table import LAST_ELEMENT, atom_table
from baselines.features.edge_gates import Tile, gated_mean
from baselines.features.gaussians import GaussianGrid
from baselines.features.norm_silu import NormSiLU
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.edge_tile import edge_tiles
from baselines.graphs.line_graph import line_graph, LineGraph
from baselines.graphs.shells import NearestShells
from crystalformer.data.array_store import ArrayStore
from crystalformer.entry import ModelEntry
from crystalformer.layers.segments import segment_mean
from crystalformer.training.config import TrainConfig


@dataclass(frozen=True)
class ALIGNNConfig:
    """Settings"""

    alignn_layers: int = 4
    gcn_layers: int = 4
    width: int = 256  # hidden_features
    embedding_width: int = 64  # embedding_features
    distance_gaussians: int = 80  # edge_input_features
    angle_gaussians: int = 40  # triplet_input_features
    neighbours: int = 12  # max_neighbors, k
    targets: int = 1


class ALIGNN(nn.Module):
    """Takes a `GraphBatch` of `NearestShells`, returns (crystals, targets)."""

    atom_table: Tensor

    def __init__(self, config: ALIGNNConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("atom_table", atom_table(), persistent=False)
        self.distance_gaussians = GaussianGrid(0.0, 8.0, config.distance_gaussians)
        self.angle_gaussians = GaussianGrid(-1.0, 1.0, config.angle_gaussians)
        narrow, width = config.embedding_width, config.width
        self.embed_atoms = Embedding(self.atom_table.shape[1], width)
        self.embed_edges = Embedding(config.distance_gaussians, narrow, width)
        self.embed_angles = Embedding(config.angle_gaussians, narrow, width)
        self.node_layers = nn.ModuleList(GatedConvolution(width) for _ in range(config.alignn_layers+config.gcn_layers))
        self.line_layers = nn.ModuleList(GatedConvolution(width) for _ in range(config.alignn_layers))
        self.output = nn.Linear(width, config.targets)

    def forward(self, batch: GraphBatch) -> Tensor:
        lines = line_graph(batch)
        edges = edge_tiles(batch)
        x = self.embed_atoms(self.atom_table[batch.numbers])
        y = self.embed_edges(self.distance_gaussians(batch.edge_distances))
        cos, counts = lines.cosines(batch.edge_vectors())
        z = self.embed_angles(self.angle_gaussians(cos), counts)
        z0,z=z,None
        nl = len(self.line_layers)
        for i, layer in enumerate(self.node_layers):
            last = i == len(self.node_layers) - 1
            x, y = layer(x, y, edges, update_edges=not last)
            if i < nl:
                y, z = self.line_layers[i](y, z0 if i==0 else z, lines.tiles if i else lines.symmetric, update_edges=i + 1 < nl, skip=None if i else lines.unfold(z0))
        return self.output(segment_mean(x, batch.sizes))


class Embedding(nn.Module):
    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.norms = nn.ModuleList(NormSiLU(b) for b in widths[1:])

    def forward(self, x: Tensor, counts: Tensor | None = None) -> Tensor:
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = norm(linear(x), counts)
        return x


class GatedConvolution(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_source = nn.Linear(width, width)
        self.gate_target = nn.Linear(width, width)
        self.gate_edge = nn.Linear(width, width)
        self.update_source = nn.Linear(width, width)
        self.update_target = nn.Linear(width, width)
        self.node_norm = NormSiLU(width)
        self.edge_norm = NormSiLU(width)

    def forward(self, x, y, tiles, update_edges, skip=None):
        a = self.gate_source(x)
        b = self.gate_target(x) + self.gate_edge.bias
        h, m = gated_mean(y, self.gate_edge.weight, a, b, self.update_source(x), tiles)
        x = self.node_norm(self.update_target(x) + h, skip=x)
        return x, self.edge_norm(m, skip=y if skip is None else skip) if update_edges else y


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: ALIGNNConfig, cache: Path
) -> GraphBatches:
    rule = NearestShells(config.neighbours)
    return GraphBatches(store, scaled_targets, cache, rule, last_element=LAST_ELEMENT)


ENTRY = ModelEntry(
    key="alignn",
    label="ALIGNN",
    paper="Choudhary & DeCost, npj Comput. Mater. 2021",
    config=ALIGNNConfig,
    build=ALIGNN,
    batches=_batches,
    graph="12 nearest and ties, line graph",
    published_parameters=4_026_753,
    published_recipe=TrainConfig(
        epochs=300,
        batch_size=64,
        lr=1e-3,
        loss="mse",
        beta2=0.999,
        weight_decay=1e-5,
        schedule="one_cycle",
        warmup=0.3,
        clip_norm=0.0,
        swa_epochs=0,
    ),
)
