r"""PotNet, a crystal graph network that knows the potentials between all atoms and their images.

Y. Lin, K. Yan, Y. Luo, Y. Liu, X. Qian and S. Ji, Efficient Approximations of Complete Interatomic
Potentials for Crystal Property Prediction, ICML 2023, and https://github.com/divelab/AIRS.

Atom i starts from the 92 entries f_i of a table of element properties. There are two kinds of edges: those to
the 16 nearest neighbours and all ties, of length d, and one from each atom j of the cell to each atom i
(i = j, too), with the potential s_ij between i and all images of j:

    x_i = W_x f_i + b_x
    e = SiLU(W_d g(-0.75/d) + b_d),             g_m(t) = exp(-((t - μ_m)/Δ)²)       (256 μ from -4 to 4)
    e = BN(softplus(W_s h(s) + b_s)),           h_m(s) = √(1 + ((s - μ_m)/Δ)²)      (64 μ from -4 to 4)
    s_ij = -0.801 Z(1/2) - 0.074 Z(3) + 0.145 E                                    (Coulomb, London, Pauli)

Both kinds send messages alike, and BN takes its statistics over the edges of both:

    m_ij = σ(BN(V' SiLU(W' [x_i ‖ x_j ‖ e] + b') + c')) ⊙ (V SiLU(W [x_i ‖ x_j ‖ e] + b) + c)
    x_i ← ReLU(x_i + BN(Σ m_ij))
    y = W_y ssp(W_h mean_i x_i + b_h) + b_y,    ssp(t) = log(e^t + 1) - log 2

Where paper and published code disagree:
- E is Σ exp(-3 r) over the distances r (in Å) to all images in the paper. The code sums exp(-3 r/√γ) with
  γ = V^(1/3) of the cell, since it scales lengths to a cell of volume 1 but multiplies 3 by √γ instead of
  γ. The published errors come from that: it is the default here, `pauli="paper"` is the other.
- The code's local edges have a radius of 4 Å in the settings that has no effect (see
  `baselines.graphs.shells`). Which ones there are twice depends on the version of JARVIS-tools: with
  the one that PotNet asks for, pairs of mutual neighbours are, and so they are here.

What differs from the published code:
- The infinite sums are computed by other formulas, to nine digits (see `baselines.graphs.lattice_sums`).
- Edges with equal i, j and d send the same message, which is computed once, times their number; what depends
  on d or s alone is computed once for each value in a crystal, and the shares of x_i and x_j once per atom.
- Cells may be left-handed, which the published code refuses.
- Training on a batch of one atom uses the running statistics in the BN of s and in that of the sum.
- The transformer that the code has behind an option, off in the published setting, is left out.

What is as published and worth knowing: the complete graph belongs to the cell as it is written, so that a
supercell changes a prediction; with the released E so does its volume. The atom table ends at Z = 100 and
has equal rows for some elements (see `baselines.features.atom_table`).
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baselines.features.atom_table import LAST_ELEMENT, atom_table
from baselines.features.counted_norm import CountedNorm
from baselines.features.distinct import distinct
from baselines.features.gated_messages import GatedMessages
from baselines.features.gaussians import GaussianGrid
from baselines.features.messages import Messages
from baselines.features.recipes import ONE_CYCLE
from baselines.graphs.batch_checks import check_elements
from baselines.graphs.config_checks import check_whole_numbers
from baselines.graphs.pair_potentials import PairPotentials
from baselines.graphs.potential_batch import PotentialBatch, PotentialBatches
from baselines.graphs.shells import NearestShells
from crystalformer.data.array_store import ArrayStore
from crystalformer.entry import ModelEntry
from crystalformer.layers.segments import segment_mean

LOW, HIGH = -4.0, 4.0  # of the centres μ


@dataclass(frozen=True)
class PotNetConfig:
    """Settings of PotNet; the defaults are those of the published code, whose names stand behind.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    width: int = 256  # embedding_features and fc_features
    layers: int = 3  # conv_layers
    gaussians: int = 256  # edge_features, of d
    multiquadrics: int = 64  # inf_edge_features, of s
    neighbours: int = 16  # of the local edges, k
    pauli: Literal["released", "paper"] = "released"  # E of the published code or of the paper
    targets: int = 1

    def __post_init__(self) -> None:
        check_whole_numbers(self, width=1, layers=1, gaussians=2, multiquadrics=2, neighbours=1, targets=1)
        PairPotentials(pauli=self.pauli)


class PotNet(nn.Module):
    """Takes a `PotentialBatch`, returns (crystals, targets)."""

    atom_table: Float[Tensor, "101 92"]

    def __init__(self, config: PotNetConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("atom_table", atom_table(), persistent=False)
        width, spacing = config.width, (HIGH - LOW) / (config.gaussians - 1)
        self.embedding = nn.Linear(self.atom_table.shape[1], width)
        self.gaussians = GaussianGrid(LOW, HIGH, config.gaussians, gamma=spacing**-2)
        self.local = nn.Linear(config.gaussians, width)
        self.infinite = nn.Linear(config.multiquadrics, width)
        self.infinite_norm = CountedNorm(width)
        self.layers = nn.ModuleList(PotNetLayer(width) for _ in range(config.layers))
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, config.targets)

    def forward(self, batch: PotentialBatch) -> Float[Tensor, "crystals targets"]:
        """Predictions in scaled units.

        Raises:
            ValueError: an element beyond Z = 100.
        """
        check_elements("PotNet", batch, LAST_ELEMENT)
        e, messages = self._edges(batch)
        x = self.embedding(self.atom_table[batch.numbers])
        for layer in self.layers:
            x = layer(x, e, messages)
        h = F.softplus(self.hidden(segment_mean(x, batch.sizes))) - math.log(2)
        return self.output(h)

    def _edges(self, batch: PotentialBatch) -> tuple[Tensor, Messages]:
        """The distinct features of edges, those of lengths first, and the distinct messages."""
        owner, i, j, d = batch.crystal_of_atom, batch.edge_centers, batch.edge_neighbors, batch.edge_distances
        lengths = distinct(owner[i], d)
        potentials = distinct(owner[batch.pair_centers], batch.pair_potentials)
        e = torch.cat(
            [
                F.silu(self.local(self.gaussians(-0.75 / d[lengths.first]))),
                self._infinite(batch.pair_potentials[potentials.first], potentials.counts),
            ]
        )
        local = distinct(i, j, lengths.of)
        centers = torch.cat([i[local.first], batch.pair_centers])
        neighbors = torch.cat([j[local.first], batch.pair_neighbors])
        rows = torch.cat([lengths.of[local.first], potentials.of + len(lengths.first)])
        weights = torch.cat([local.counts, torch.ones_like(potentials.of)]).to(d.dtype)
        order = torch.argsort(centers, stable=True)
        return e, Messages(centers[order], neighbors[order], rows[order], weights[order])

    def _infinite(self, s: Tensor, counts: Tensor) -> Tensor:
        """The features of potentials, (potentials, width)."""
        size = self.config.multiquadrics
        k = torch.arange(size, dtype=s.dtype, device=s.device)
        offset = (s[:, None] - LOW) * ((size - 1) / (HIGH - LOW)) - k  # in units of Δ
        return self.infinite_norm(F.softplus(self.infinite((1 + offset.square()).sqrt())), counts)


class PotNetLayer(nn.Module):
    """One layer of messages; see the module's docstring."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.gate = nn.Linear(3 * width, width)  # W', b'
        self.value = nn.Linear(3 * width, width)  # W, b
        self.messages = GatedMessages(width)
        self.norm = CountedNorm(width)

    def forward(
        self, x: Float[Tensor, "atoms width"], e: Float[Tensor, "features width"], messages: Messages
    ) -> Float[Tensor, "atoms width"]:
        """The new x; `e` are the distinct features of edges."""
        weight = torch.cat([self.gate.weight, self.value.weight])
        bias = torch.cat([self.gate.bias, self.value.bias])
        w_i, w_j, w_e = weight.split(self.width, dim=1)
        o = self.messages(F.linear(x, w_i, bias), F.linear(x, w_j), F.linear(e, w_e), messages)
        return F.relu(x + self.norm(o))


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: PotNetConfig, cache: Path | None
) -> PotentialBatches:
    edges = NearestShells(config.neighbours, canonize=False)
    potentials = PairPotentials(pauli=config.pauli)
    return PotentialBatches(store, scaled_targets, cache, edges, potentials, last_element=LAST_ELEMENT)


ENTRY = ModelEntry(
    key="potnet",
    label="PotNet",
    paper="Lin et al., ICML 2023",
    config=PotNetConfig,
    build=PotNet,
    batches=_batches,
    graph="16 nearest and ties, potentials of all pairs",
    published_parameters=1_751_809,
    published_recipe=replace(
        ONE_CYCLE,
        weight_decay=0.0,
        decay_norms=True,
        warmup=0.0043,  # 2,000 steps, of 500 epochs with the 60,000 training crystals of the MEGNet set
        scale_targets=False,
    ),
)
