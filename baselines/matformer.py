r"""Matformer, a transformer on a crystal graph that knows the lattice.

K. Yan, Y. Liu, Y. Lin and S. Ji, Periodic Graph Transformers for Crystal Material Property Prediction,
NeurIPS 2022, and https://github.com/YKQ98/Matformer.

Atom i starts from the 92 entries f_i of a table of element properties, an edge from Gaussians of its length:

    x_i = W_x f_i + b_x
    a_ij = W_2 softplus(W_1 g(d_ij) + b_1) + b_2,   g_m(d) = exp(-(d - μ_m)²/Δ)     (μ: 0 to 8 Å, spacing Δ)

A layer has H heads of width C; with q, k, v the parts of W_q x + b_q, ... and e of W_e a of one head:

    α_ij = [q_i ‖ q_i ‖ q_i] ⊙ [k_i ‖ k_j ‖ e_ij] / √(3C)
    m_ij = LN(W_m (σ(LN(α_ij)) ⊙ (W_u [v_i ‖ v_j ‖ e_ij] + b_u)) + b_m)            (LN, W_m, W_u: all heads)
    x_i ← SiLU(BN(W_c [Σ_j m_ij, heads side by side] + b_c)) + W_s x_i + b_s

    y = W_y SiLU(W_h mean_i x_i + b_h) + b_y

The graph has the 12 nearest neighbours of an atom with ties, and the atom's own images along the cell
vectors (`ShellsAndLattice`).

What differs from the published code:
- Edges with equal i, j and d send the same message; it is computed once, times their number. Of the twelve
  lattice edges of an atom these are always two and two. What depends on the length alone, W_e a and its
  share of W_u, is computed once per length and crystal, and the shares of v_i and v_j once per atom.
- 97,792 parameters that are made and never used, `edge_init` and `angle_init_layers`, are left out, as are
  the branches for lattice angles and edge updates, which the published setting switches off.
- Where an atom has fewer than 12 neighbours within 8 Å the published code starts again with a larger radius
  and then forgets the lattice edges; here they stay.
- The published recipe spares biases and norms from weight decay, but not the weights of message_norm, which
  its rule of names misses; here all norms are spared.
- Training on a batch of one atom uses the running statistics in BN, where the published code stops.

What is as published and worth knowing: lattice edges belong to the cell as it is written, so that another
basis of the same lattice, or a supercell, can change a prediction. The atom table ends at Z = 100 and has
equal rows for some elements (see `baselines.features.atom_table`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baselines.features.atom_table import LAST_ELEMENT, atom_table
from baselines.features.counted_norm import CountedNorm
from baselines.features.distinct import distinct
from baselines.features.gaussians import GaussianGrid
from baselines.features.messages import Messages
from baselines.features.recipes import ONE_CYCLE
from baselines.features.vector_attention import VectorAttention
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.batch_checks import check_elements
from baselines.graphs.config_checks import check_lengths, check_whole_numbers
from baselines.graphs.lattice_edges import ShellsAndLattice
from crystalformer.data.array_store import ArrayStore
from crystalformer.entry import ModelEntry
from crystalformer.layers.segments import segment_mean


@dataclass(frozen=True)
class MatformerConfig:
    """Settings of Matformer; the defaults are those of the published code, whose names stand behind.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    width: int = 128  # node_features, C: of atoms and of one head
    layers: int = 5  # conv_layers
    heads: int = 4  # node_layer_head, H
    hidden_width: int = 128  # fc_features
    gaussians: int = 128  # edge_features
    longest: float = 8.0  # vmax of the RBF expansion, in Å: the last Gaussian
    neighbours: int = 12  # max_neighbors, k
    targets: int = 1

    def __post_init__(self) -> None:
        check_whole_numbers(self, width=1, layers=1, heads=1, hidden_width=1)
        check_whole_numbers(self, gaussians=2, neighbours=1, targets=1)
        check_lengths(self, "longest")


class Matformer(nn.Module):
    """Takes a `GraphBatch`, returns (crystals, targets)."""

    atom_table: Float[Tensor, "101 92"]

    def __init__(self, config: MatformerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("atom_table", atom_table(), persistent=False)
        width = config.width
        self.embedding = nn.Linear(self.atom_table.shape[1], width)
        self.gaussians = GaussianGrid(0.0, config.longest, config.gaussians)
        self.edge_embedding = nn.Sequential(
            nn.Linear(config.gaussians, width), nn.Softplus(), nn.Linear(width, width)
        )
        self.layers = nn.ModuleList(MatformerLayer(width, config.heads) for _ in range(config.layers))
        self.hidden = nn.Linear(width, config.hidden_width)
        self.output = nn.Linear(config.hidden_width, config.targets)

    def forward(self, batch: GraphBatch) -> Float[Tensor, "crystals targets"]:
        """Predictions in scaled units.

        Raises:
            ValueError: an element beyond Z = 100.
        """
        check_elements("Matformer", batch, LAST_ELEMENT)
        lengths, messages = _messages(batch)
        x = self.embedding(self.atom_table[batch.numbers])
        a = self.edge_embedding(self.gaussians(lengths))
        for layer in self.layers:
            x = layer(x, a, messages)
        return self.output(F.silu(self.hidden(segment_mean(x, batch.sizes))))


class MatformerLayer(nn.Module):
    """One layer of attention; submodules by the letters of the formulas in the module's docstring."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.query = nn.Linear(width, heads * width)
        self.key = nn.Linear(width, heads * width)
        self.value = nn.Linear(width, heads * width)
        self.edge = nn.Linear(width, heads * width, bias=False)
        self.update = nn.Linear(3 * width, 3 * width)  # W_u
        self.attention = VectorAttention(width)
        self.merge = nn.Linear(heads * width, width)  # W_c
        self.norm = CountedNorm(width)
        self.skip = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "atoms width"], a: Float[Tensor, "lengths width"], messages: Messages
    ) -> Float[Tensor, "atoms width"]:
        """The new x; `a` are the features of the distinct lengths."""
        q, k, v, e = (
            layer(values).view(-1, self.heads, self.width)
            for layer, values in ((self.query, x), (self.key, x), (self.value, x), (self.edge, a))
        )
        w_i, w_j, w_e = self.update.weight.split(self.width, dim=1)
        o = self.attention(
            q / (3 * self.width) ** 0.5,
            k,
            e,
            F.linear(v, w_i, self.update.bias),
            F.linear(v, w_j),
            F.linear(e, w_e),
            messages,
        )
        return F.silu(self.norm(self.merge(o.flatten(1)))) + self.skip(x)


def _messages(batch: GraphBatch) -> tuple[Tensor, Messages]:
    """The distinct lengths of the edges of each crystal, (lengths,) in Å, and the distinct messages."""
    owner, i, j, d = batch.crystal_of_atom, batch.edge_centers, batch.edge_neighbors, batch.edge_distances
    lengths = distinct(owner[i], d)
    edges = distinct(i, j, lengths.of)
    first = edges.first
    messages = Messages(i[first], j[first], lengths.of[first], edges.counts.to(d.dtype))
    return d[lengths.first], messages


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: MatformerConfig, cache: Path | None
) -> GraphBatches:
    rule = ShellsAndLattice(config.neighbours)
    return GraphBatches(store, scaled_targets, cache, rule, last_element=LAST_ELEMENT)


ENTRY = ModelEntry(
    key="matformer",
    label="Matformer",
    paper="Yan et al., NeurIPS 2022",
    config=MatformerConfig,
    build=Matformer,
    batches=_batches,
    graph="12 nearest and ties, lattice vectors",
    published_parameters=2_782_849,
    published_recipe=ONE_CYCLE,
)
