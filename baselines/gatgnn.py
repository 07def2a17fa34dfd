r"""GATGNN, the global attention graph neural network.

S.-Y. Louis, Y. Zhao, A. Nasiri, X. Wang, Y. Song, F. Liu and J. Hu, Phys. Chem. Chem. Phys. 22, 18141 (2020),
and https://github.com/superlouis/GATGNN.

The graph and its features are those of CGCNN: k edges per atom, padded with edges to atom 0 of the crystal at
distance radius + 1 Å, and the 92 entries f_i of its table of element properties. With heads h, one matrix W
and a vector a_h for both ends of an edge, and c the fractions of the elements in the crystal:

    v_i = W_n f_i + b_n,   e_ij = leaky_0.2(W_e u_ij + b_e),   u_ij,m = exp(-(d_ij - μ_m)² / Δ²)

    z_i = softplus(W [v_i ‖ e_ij]),   z_j = softplus(W [v_j ‖ e_ij])                     (AGAT, three times)
    s_ij,h = softplus(BN(softplus(a_h · [z_i,h ‖ z_j,h]))),   α_ij,h = exp(s_ij,h) / Σ_k exp(s_ik,h)
    v_i ← softplus(BN(mean_h Σ_j α_ij,h z_j,h + b))

    w_i = softmax over the crystal of (W_2 softplus(W_1 [v_i ‖ c] + b_1) + b_2)          (GI-M1)
    y = W_y softplus(W_4 softplus(W_3 Σ_i w_i v_i + b_3) + b_4) + b_y

The first BN has one feature per head and takes its statistics over all edges of the batch, padding included.
There is no residual connection: what an atom knows of itself, it has through z_i in the scores alone.

What differs from the published code:
- W [v ‖ e] is computed as a product per atom and one per edge, W_1 [v_i ‖ c] as one per atom and a sum of
  its columns per crystal: the same functions with less work.
- Neighbours at equal distance are cut at the k-th by a fixed rule (see `baselines.graphs.nearest`).
- A batch of one atom uses the running statistics in the BN of atoms while training.
- Global attention by the composition only (GI-M1, the default): the variants that attend to clusters of
  atoms (GI-M2 to GI-M4) depend on a random clustering of the coordinates in the given cell.

Its code counts 134,154 parameters. 11,280 of these it never uses with the default settings, and they are left
out here: the embedding of the composition (103 · 64 + 64 = 6,656), the attention to clusters (131 · 3 + 3,
64 · 64 + 64 and 64 + 1, together 4,621) and a PReLU in each of the three AGAT layers (3).

The composition reaches to Z = 103, but the table of elements ends at Z = 100.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.features.atom_table import LAST_ELEMENT, atom_table
from baselines.features.counted_norm import CountedNorm
from baselines.features.edge_linear import rows_of
from baselines.features.gaussians import GaussianGrid, gaussian_count
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.batch_checks import check_edges_per_atom, check_elements
from baselines.graphs.config_checks import check_lengths, check_whole_numbers, check_within_radius
from baselines.graphs.nearest import KNearest
from crystalformer.data.array_store import ArrayStore
from crystalformer.entry import ModelEntry
from crystalformer.layers.linear import Linear, linear
from crystalformer.layers.segments import segment_mean, segment_sum
from crystalformer.training.config import TrainConfig

COMPOSITION = 103  # entries of c: H to Lr
LEAK = 0.2  # slope of the leaky ReLU below zero


@dataclass(frozen=True)
class GATGNNConfig:
    """Settings of GATGNN; the defaults are those of the published code, whose names stand behind.

    Its setting for MEGNet's data is neighbours=16, radius=4, distance_step=0.5.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    node_width: int = 64  # num_neurons
    layers: int = 3  # num_layers
    heads: int = 4  # num_heads
    composition_width: int = 32  # rows of W_1
    neighbours: int = 12  # max_num_nbr, k
    radius: float = 8.0  # radius, in Å
    distance_step: float = 0.2  # step, Δ in Å: spacing and width of the Gaussians
    targets: int = 1

    def __post_init__(self) -> None:
        sizes = ("node_width", "layers", "heads", "composition_width", "neighbours", "targets")
        check_whole_numbers(self, **dict.fromkeys(sizes, 1))
        check_lengths(self, "radius")
        check_within_radius(self, "distance_step")


class GATGNN(nn.Module):
    """Takes a `GraphBatch` with `config.neighbours` edges per atom, returns (crystals, targets)."""

    atom_table: Float[Tensor, "101 92"]

    def __init__(self, config: GATGNNConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("atom_table", atom_table(), persistent=False)
        size, step = gaussian_count(config.radius, config.distance_step), config.distance_step
        self.gaussians = GaussianGrid(0.0, (size - 1) * step, size, gamma=step**-2)
        width = config.node_width
        self.embed_atoms = Linear(self.atom_table.shape[1], width)
        self.embed_edges = Linear(size, width)
        self.attentions = nn.ModuleList(AtomAttention(width, config.heads) for _ in range(config.layers))
        self.norms = nn.ModuleList(CountedNorm(width) for _ in range(config.layers))
        self.pool = CompositionPool(width, config.composition_width)
        self.hidden = nn.ModuleList(Linear(width, width) for _ in range(2))
        self.output = Linear(width, config.targets)

    def forward(self, batch: GraphBatch) -> Float[Tensor, "crystals targets"]:
        """Predictions in scaled units.

        Raises:
            ValueError: an element beyond Z = 100, or another number of edges than neighbours per atom.
        """
        self._check(batch)
        v = self.embed_atoms(self.atom_table[batch.numbers])
        e = F.leaky_relu(self.embed_edges(self.gaussians(batch.edge_distances)), LEAK)
        for attention, norm in zip(self.attentions, self.norms, strict=True):
            v = F.softplus(norm(attention(v, e, batch.edge_neighbors)))
        y = self.pool(v, batch)
        for layer in self.hidden:
            y = F.softplus(layer(y))
        return self.output(y)

    def _check(self, batch: GraphBatch) -> None:
        check_elements("GATGNN", batch, LAST_ELEMENT)
        check_edges_per_atom(batch, self.config.neighbours)


class AtomAttention(nn.Module):
    """AGAT: every head attends from an atom to its k edges; the heads are averaged."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.weight = nn.Parameter(torch.empty(heads * width, 2 * width))  # W
        self.attention = nn.Parameter(torch.empty(heads, 2 * width))  # a
        self.bias = nn.Parameter(torch.zeros(width))
        self.head_norm = nn.BatchNorm1d(heads)
        nn.init.xavier_uniform_(self.weight)
        nn.init.xavier_uniform_(self.attention)

    def forward(
        self,
        v: Float[Tensor, "atoms width"],
        e: Float[Tensor, "edges width"],
        neighbors: Int[Tensor, " edges"],
    ) -> Float[Tensor, "atoms width"]:
        """What the atoms gather; there are k edges for each atom, atom after atom."""
        atoms, width = v.shape
        w_v, w_e = self.weight.split(width, dim=1)
        per_atom, per_edge = linear(v, w_v), linear(e, w_e)
        z_i = F.softplus(per_edge.view(atoms, -1, self.heads * width) + per_atom[:, None])
        z_j = F.softplus(per_edge + rows_of(per_atom, neighbors)).view_as(z_i)
        a_i, a_j = (self._columns(a) for a in self.attention.split(width, dim=1))
        s = F.softplus(z_i @ a_i + z_j @ a_j)
        s = F.softplus(self.head_norm(s.flatten(0, 1))).view_as(s)
        alpha = s.softmax(dim=1)
        z_j = z_j.unflatten(2, (self.heads, width))
        return torch.einsum("nkh,nkhc->nc", alpha, z_j) / self.heads + self.bias

    @staticmethod
    def _columns(a: Tensor) -> Tensor:
        """a_h (heads, width) as a matrix (heads width, heads), which takes the product in each head."""
        return torch.block_diag(*a).T


class CompositionPool(nn.Module):
    """GI-M1: the sum of a crystal's atoms, weighted by an attention that knows the composition."""

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.hidden = Linear(width + COMPOSITION, hidden_width)
        self.score = Linear(hidden_width, 1)

    def forward(self, v: Float[Tensor, "atoms width"], batch: GraphBatch) -> Float[Tensor, "crystals width"]:
        """The sum of each crystal."""
        w_v, w_c = self.hidden.weight.split([v.shape[1], COMPOSITION], dim=1)
        per_crystal = segment_mean(rows_of(w_c.T, batch.numbers - 1), batch.sizes)  # W_c c
        h = linear(v, w_v, self.hidden.bias) + rows_of(per_crystal, batch.crystal_of_atom)
        score = self.score(F.softplus(h))
        # softmax over a crystal; a shift by its largest score changes nothing but the range
        top = torch.segment_reduce(score.detach(), "max", lengths=batch.sizes, axis=0)
        share = torch.exp(score - top[batch.crystal_of_atom])
        return segment_sum(share * v, batch.sizes) / segment_sum(share, batch.sizes)


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: GATGNNConfig, cache: Path | None
) -> GraphBatches:
    rule = KNearest(config.neighbours, float(config.radius))
    return GraphBatches(store, scaled_targets, cache, rule, last_element=LAST_ELEMENT)


ENTRY = ModelEntry(
    key="gatgnn",
    label="GATGNN",
    paper="Louis et al., PCCP 2020",
    config=GATGNNConfig,
    build=GATGNN,
    batches=_batches,
    graph="12 nearest within 8 Å",
    published_parameters=122_874,
    published_recipe=TrainConfig(
        epochs=200,
        batch_size=256,
        lr=5e-3,
        loss="smooth_l1",
        beta2=0.999,
        weight_decay=0.1,
        schedule="step",
        milestone=150,
        step_factor=0.3,
        clip_norm=0.0,
        scale_targets=False,
        swa_epochs=0,
    ),
)
