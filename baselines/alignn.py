r"""ALIGNN, the atomistic line graph neural network.

K. Choudhary and B. DeCost, npj Comput. Mater. 7, 185 (2021), and https://github.com/usnistgov/alignn.

The edges of atom i lead to its k nearest neighbours j and all ties, each with its reverse. A pair joins an
edge to an atom with an edge away from it, going back included (see `baselines.graphs.line_graph`). With f_i
the 92 entries of CGCNN's table of element properties, d the length of an edge, θ the angle between the two
edges of a pair at their atom, 0 for going back, and L(x) = SiLU(BN(W x + b)):

    x = L(f_i) of atoms,   y = L(L(u(d))) of edges,   z = L(L(w(cos θ))) of pairs
    u_m(d) = exp(-(d - μ_m)² / Δ),  80 centres from 0 to 8 Å with spacing Δ;  w likewise, 40 from -1 to 1

An edge-gated graph convolution (EGGC) of features x of nodes and y of edges is

    m_ij = W_s x_j + W_d x_i + W_e y_ij + b
    h_i = Σ_j σ(m_ij) ⊙ (W_v x_j + b_v) / (Σ_j σ(m_ij) + 10⁻⁶)
    x_i ← x_i + SiLU(BN(W_u x_i + b_u + h_i)),   y_ij ← y_ij + SiLU(BN(m_ij))

with b the sum of three biases, one each of W_s, W_d and W_e. Four ALIGNN layers convolve the graph, (x, y)
← EGGC(x, y), and then its line graph, whose nodes are the edges, (y, z) ← EGGC(y, z). Four EGGC of the
graph follow, then the mean over the atoms and a linear layer.

What differs from the published code:
- A pair and its reverse have the same angle: one of them is embedded, and counts twice in the statistics of
  BN. Its product with the first W_e is shared, too. The same function with less work.
- The features of pairs behind the last ALIGNN layer and those of edges behind the last EGGC enter nothing and
  are not computed. Their BN (4 · 256 parameters) is part of the published count and never gets a gradient,
  neither here nor there.
- A batch of one atom uses the running statistics in the BN of atoms while training, where the published
  code stops.
- Regression only: the head for classes and the link functions are left out.

What is as published and worth knowing: an edge from an atom to its own image counts twice, which it no
longer does in a supercell where the image is another atom, so the prediction of a crystal with such short
cell vectors depends on the cell. The table of elements ends at Z = 100 and cannot tell some of them apart;
see `baselines.features.atom_table`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from baselines.features.atom_table import LAST_ELEMENT, atom_table
from baselines.features.edge_gates import Tile, gated_mean
from baselines.features.gaussians import GaussianGrid
from baselines.features.norm_silu import NormSiLU
from baselines.features.recipes import ONE_CYCLE
from baselines.graphs.adjacency import reverse_edges
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.batch_checks import check_elements
from baselines.graphs.config_checks import check_lengths, check_whole_numbers
from baselines.graphs.edge_tile import EdgeTile
from baselines.graphs.line_graph import LineGraph, line_graph
from baselines.graphs.shells import NearestShells
from crystalformer.data.array_store import ArrayStore
from crystalformer.entry import ModelEntry
from crystalformer.layers.linear import Linear
from crystalformer.layers.segments import segment_mean


@dataclass(frozen=True)
class ALIGNNConfig:
    """Settings of ALIGNN; the defaults are those of the published code, whose names stand behind.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    alignn_layers: int = 4  # alignn_layers: EGGC of the graph, then of the line graph
    gcn_layers: int = 4  # gcn_layers: EGGC of the graph
    width: int = 256  # hidden_features: of x, y and z
    embedding_width: int = 64  # embedding_features: between the two layers that embed y and z
    distance_gaussians: int = 80  # edge_input_features
    angle_gaussians: int = 40  # triplet_input_features
    radius: float = 8.0  # cutoff, in Å: the last centre of the Gaussians of distance
    neighbours: int = 12  # max_neighbors, k
    targets: int = 1  # output_features

    def __post_init__(self) -> None:
        sizes = ("alignn_layers", "gcn_layers", "width", "embedding_width", "neighbours", "targets")
        gaussians = {"distance_gaussians": 2, "angle_gaussians": 2}
        check_whole_numbers(self, **dict.fromkeys(sizes, 1), **gaussians)
        check_lengths(self, "radius")


class ALIGNN(nn.Module):
    """Takes a `GraphBatch` in which every edge has its reverse, returns (crystals, targets)."""

    atom_table: Float[Tensor, "101 92"]

    def __init__(self, config: ALIGNNConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("atom_table", atom_table(), persistent=False)
        self.distance_gaussians = GaussianGrid(0.0, config.radius, config.distance_gaussians)
        self.angle_gaussians = GaussianGrid(-1.0, 1.0, config.angle_gaussians)
        narrow, width = config.embedding_width, config.width
        self.embed_atoms = Embedding(self.atom_table.shape[1], width)
        self.embed_edges = Embedding(config.distance_gaussians, narrow, width)
        self.embed_pairs = Embedding(config.angle_gaussians, narrow, width)
        self.graph_layers = nn.ModuleList(Convolution(width) for _ in range(config.alignn_layers))
        self.line_layers = nn.ModuleList(Convolution(width) for _ in range(config.alignn_layers))
        self.gcn_layers = nn.ModuleList(Convolution(width) for _ in range(config.gcn_layers))
        self.output = Linear(width, config.targets)

    def forward(self, batch: GraphBatch) -> Float[Tensor, "crystals targets"]:
        """Predictions in scaled units.

        Raises:
            ValueError: an element beyond Z = 100, or an edge without its reverse.
        """
        check_elements("ALIGNN", batch, LAST_ELEMENT)
        reverses = reverse_edges(batch)
        graph, lines = [EdgeTile(batch, reverses)], line_graph(batch.edge_counts, reverses)
        x = self.embed_atoms(self.atom_table[batch.numbers])
        y = self.embed_edges(self.distance_gaussians(batch.edge_distances))
        x, y = self._align(x, y, batch.edge_vectors(), graph, lines)
        for layer in self.gcn_layers[:-1]:
            x, y = layer(x, y, graph, y)
        x, _ = self.gcn_layers[-1](x, y, graph, None)
        return self.output(segment_mean(x, batch.sizes))

    def _align(
        self, x: Tensor, y: Tensor, vectors: Tensor, graph: Sequence[EdgeTile], lines: LineGraph
    ) -> tuple[Tensor, Tensor]:
        """The ALIGNN layers: the new features of atoms x and edges y."""
        cosines, counts = lines.cosines(vectors)
        z = self.embed_pairs(self.angle_gaussians(cosines), counts)
        tiles: Sequence[Tile] = lines.symmetric
        for number, (layer, line_layer) in enumerate(zip(self.graph_layers, self.line_layers, strict=True)):
            x, y = layer(x, y, graph, y)
            old = None
            if number + 1 < len(self.line_layers):
                old = z if number else lines.unfold(z)
            y, z = line_layer(y, z, tiles, old)
            tiles = lines.tiles
        return x, y


class Embedding(nn.Module):
    """L, once or several times."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.linears = nn.ModuleList(Linear(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(NormSiLU(width) for width in widths[1:])

    def forward(
        self, x: Float[Tensor, "rows n_in"], counts: Float[Tensor, " rows"] | None = None
    ) -> Float[Tensor, "rows n_out"]:
        """L of each row; `counts` has the number of equal rows that each stands for."""
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = norm(linear(x), counts)
        return x


class Convolution(nn.Module):
    """EGGC: an edge-gated graph convolution, of the graph or of its line graph."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_source = Linear(width, width)  # W_s
        self.gate_target = Linear(width, width)  # W_d
        self.gate_edge = Linear(width, width)  # W_e
        self.value = Linear(width, width)  # W_v
        self.update = Linear(width, width)  # W_u
        self.node_norm = NormSiLU(width)
        self.edge_norm = NormSiLU(width)

    def forward(
        self,
        x: Float[Tensor, "nodes width"],
        y: Float[Tensor, "input_rows width"],
        tiles: Sequence[Tile],
        old: Float[Tensor, "edges width"] | None,
    ) -> tuple[Float[Tensor, "nodes width"], Float[Tensor, "edges width"] | None]:
        """The new x and y.

        Args:
            x: features of the nodes.
            y: features in the input rows of the tiles.
            tiles: the edges.
            old: y of every edge, to which its change is added; None where no new y is needed.
        """
        target = self.gate_target(x) + self.gate_edge.bias
        h, m = gated_mean(y, self.gate_edge.weight, self.gate_source(x), target, self.value(x), tiles)
        x = self.node_norm(self.update(x) + h, skip=x)
        return x, None if old is None else self.edge_norm(m, skip=old)


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: ALIGNNConfig, cache: Path | None
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
    published_recipe=replace(ONE_CYCLE, epochs=300, scale_targets=False),
)
