r"""CGCNN, the crystal graph convolutional neural network.

T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018), and https://github.com/txie-93/cgcnn.

Atom i starts from the 92 entries f_i of a table of element properties, its edges to the k nearest neighbours
from Gaussians of the distance with centres μ_m = 0, Δ, 2Δ, ... up to the radius:

    v_i = W_e f_i + b_e                                                            (convolution 0)
    u_ij,m = exp(-(d_ij - μ_m)² / Δ²)
    [z_f ‖ z_s]_ij = BN₁(W [v_i ‖ v_j ‖ u_ij] + b)                                 (W_f, W_s in one matrix)
    v_i ← softplus(v_i + BN₂(Σ_j σ(z_f,ij) ⊙ softplus(z_s,ij)))                    (Eq. 5 with BN)
    h = softplus(W_1 softplus(mean_i v_i) + b_1),  then softplus layers,  y = W_y h + b_y

BN₁ takes its statistics over all edges of the batch, padding included: an atom with fewer than k neighbours
within the radius gets edges to atom 0 of its crystal at distance radius + 1 Å, messages as any other.

What differs from the published code:
- W [v_i ‖ v_j ‖ u_ij] is computed as W_i v_i + W_j v_j + W_u u_ij, the first two per atom: the same function
  with less work.
- Neighbours at equal distance are cut at the k-th by a fixed rule (see `baselines.graphs.nearest`),
  not by the order in which the search happened to find them.
- A batch of one atom uses the running statistics in BN₂ while training, where the published code stops.
- Regression only: the classification head with dropout is left out.

What is as published and worth knowing: the atom table ends at Z = 100 and has equal rows for La and Ce; Sm
and Gd; Ho and Er; Th and Np; Am and Cm; Bk, Cf, Es and Fm, which the model cannot tell apart. Cutting a shell
of equal distances at the k-th neighbour, and padding with atom 0, can make a prediction depend on the
order of the atoms.
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
from baselines.features.gaussians import gaussian_count
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.batch_checks import check_edges_per_atom, check_elements
from baselines.graphs.config_checks import check_lengths, check_whole_numbers, check_within_radius
from baselines.graphs.nearest import KNearest
from crystalformer.data.array_store import ArrayStore
from crystalformer.entry import ModelEntry
from crystalformer.training.config import TrainConfig


@dataclass(frozen=True)
class CGCNNConfig:
    """Settings of CGCNN; the defaults are those of the published code, whose names stand behind.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    node_width: int = 64  # atom_fea_len
    conv_layers: int = 3  # n_conv
    hidden_width: int = 128  # h_fea_len
    hidden_layers: int = 1  # n_h
    neighbours: int = 12  # max_num_nbr, k
    radius: float = 8.0  # radius, in Å
    distance_step: float = 0.2  # step, Δ in Å: spacing and width of the Gaussians
    targets: int = 1

    def __post_init__(self) -> None:
        sizes = ("node_width", "conv_layers", "hidden_width", "hidden_layers", "neighbours", "targets")
        check_whole_numbers(self, **dict.fromkeys(sizes, 1))
        check_lengths(self, "radius")
        check_within_radius(self, "distance_step")


class CGCNN(nn.Module):
    """Takes a `GraphBatch` with `config.neighbours` edges per atom, returns (crystals, targets)."""

    atom_table: Float[Tensor, "101 92"]
    centers: Float[Tensor, " gaussians"]

    def __init__(self, config: CGCNNConfig) -> None:
        super().__init__()
        self.config = config
        # Constants, not part of the state: f (Z, 92), and the centres in units of Δ, exact in any dtype.
        self.register_buffer("atom_table", atom_table(), persistent=False)
        centers = torch.arange(gaussian_count(config.radius, config.distance_step), dtype=torch.float32)
        self.register_buffer("centers", centers, persistent=False)
        width = config.node_width
        self.embedding = nn.Linear(self.atom_table.shape[1], width)
        self.convolutions = nn.ModuleList(Convolution(width, len(centers)) for _ in range(config.conv_layers))
        self.conv_to_hidden = nn.Linear(width, config.hidden_width)
        self.hidden = nn.ModuleList(
            nn.Linear(config.hidden_width, config.hidden_width) for _ in range(config.hidden_layers - 1)
        )
        self.output = nn.Linear(config.hidden_width, config.targets)

    def forward(self, batch: GraphBatch) -> Float[Tensor, "crystals targets"]:
        """Predictions in scaled units.

        Raises:
            ValueError: an element beyond Z = 100, or another number of edges than neighbours per atom.
        """
        self._check(batch)
        v = self.embedding(self.atom_table[batch.numbers])
        u = torch.exp(-((batch.edge_distances[:, None] / self.config.distance_step - self.centers) ** 2))
        for convolution in self.convolutions:
            v = convolution(v, u, batch.edge_neighbors)
        crystal = torch.segment_reduce(v, "mean", lengths=batch.sizes)
        h = F.softplus(self.conv_to_hidden(F.softplus(crystal)))
        for layer in self.hidden:
            h = F.softplus(layer(h))
        return self.output(h)

    def _check(self, batch: GraphBatch) -> None:
        check_elements("CGCNN", batch, LAST_ELEMENT)
        check_edges_per_atom(batch, self.config.neighbours)


class Convolution(nn.Module):
    """One graph convolution: gated messages from k edges per atom, added to the atom's features."""

    def __init__(self, width: int, gaussians: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * width + gaussians, 2 * width)
        self.edge_norm = nn.BatchNorm1d(2 * width)  # BN₁
        self.atom_norm = CountedNorm(width)  # BN₂

    def forward(
        self,
        v: Float[Tensor, "atoms width"],
        u: Float[Tensor, "edges gaussians"],
        neighbors: Int[Tensor, " edges"],
    ) -> Float[Tensor, "atoms width"]:
        """The new v; there are k edges for each atom, atom after atom."""
        atoms, width = v.shape
        w_i, w_j, w_u = self.linear.weight.split([width, width, u.shape[1]], dim=1)
        z = F.linear(u, w_u, self.linear.bias) + F.embedding(neighbors, F.linear(v, w_j))
        z = z.view(atoms, -1, 2 * width) + F.linear(v, w_i)[:, None]
        z_f, z_s = self.edge_norm(z.flatten(0, 1)).view_as(z).chunk(2, dim=-1)
        message = (torch.sigmoid(z_f) * F.softplus(z_s)).sum(dim=1)
        return F.softplus(v + self.atom_norm(message))


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: CGCNNConfig, cache: Path | None
) -> GraphBatches:
    rule = KNearest(config.neighbours, float(config.radius))
    return GraphBatches(store, scaled_targets, cache, rule, last_element=LAST_ELEMENT)


ENTRY = ModelEntry(
    key="cgcnn",
    label="CGCNN",
    paper="Xie & Grossman, PRL 2018",
    config=CGCNNConfig,
    build=CGCNN,
    batches=_batches,
    graph="12 nearest within 8 Å",
    published_parameters=80_833,
    published_recipe=TrainConfig(
        epochs=30,
        batch_size=256,
        lr=0.01,
        loss="mse",
        optimizer="sgd",
        beta1=0.9,
        weight_decay=0.0,
        schedule="constant",
        clip_norm=0.0,
        swa_epochs=0,
    ),
)
