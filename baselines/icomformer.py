r"""iComFormer, the invariant one of the two ComFormers.

K. Yan, C. Fu, X. Qian, X. Qian and S. Ji, Complete and Efficient Graph Transformers for Crystal Material
Property Prediction, ICLR 2024, and https://github.com/divelab/AIRS.

Atoms start from the element table of CGCNN, x_i = W f_i + b. An edge from j to i, r_ij = p_i - p_j - n L,
knows its length and its angles with three lattice vectors l_m that do not depend on how the cell was chosen
(see `baselines.graphs.lattice_shells`):

    e_ij = softplus(W_d RBF(-0.75 / |r_ij|) + b_d),    λ_m = softplus(W_d RBF(-0.75 / |l_m|) + b_d)
    θ_ij,m = softplus(W_θ RBF(cos ∠(l_m, r_ij)) + b_θ)

with 256 Gaussians each, centres from -4 to 0 and from -1 to 1. A convolution (see
`baselines.features.comformer_conv`) is followed by one update of the edges, whose messages to edge ij come
from the three lattice vectors, with query and first parts of key and value from e_ij, second parts from λ_m
by matrices of their own for each m, third part W_e θ_ij,m, and gate as in the convolution:

    e_ij ← softplus(e_ij + BN(Σ_m (W_c m_ij,m + b_c)))

Then come the other convolutions, and y = W_y SiLU(W_f mean_i x_i + b_f) + b_y.

What differs from the published code, of which none changes the function:
- Products are done once per atom, lattice vector, distinct length or distinct angle, not once per edge. The
  published code repeats them, and edges of equal length and angles: a symmetric crystal has many. Norms
  count each as often as it occurs.
- `lemb` (96 parameters) and `lin_edge_len` (73,984), which the published code creates and never uses, are
  left out: 4,892,417 parameters instead of 4,966,497; with three convolutions 4,037,121 instead of 4,111,201.
- Lattice vectors that symmetry makes equally long are chosen by a fixed rule, not by the order of a search.
- A batch of one atom uses the running statistics in BN while training, where the published code stops.

What is as published and worth knowing: r_ij points from the atom that sends to the one that receives. The
cosines change sign in a mirror image, the lattice vectors stay right-handed: left- and right-handed quartz
differ. l_m is a vector of the given cell's lattice, so a supercell gives another prediction, and where the
choice of l_m is free, so may another basis. The element table ends at Z = 100 and cannot tell La from Ce.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.features.atom_table import LAST_ELEMENT, atom_table
from baselines.features.channel_attention import ChannelAttention, TwoLayers, sum_of_rows
from baselines.features.comformer_conv import ComformerConv, Messages
from baselines.features.counted_norm import CountedNorm
from baselines.features.distinct import Distinct, distinct
from baselines.features.edge_linear import rows_of
from baselines.features.gaussians import GaussianGrid
from baselines.features.recipes import ONE_CYCLE
from baselines.graphs.batch_checks import check_elements
from baselines.graphs.config_checks import check_whole_numbers
from baselines.graphs.lattice_shells import LatticeBatch, LatticeBatches
from crystalformer.data.array_store import ArrayStore
from crystalformer.entry import ModelEntry, Variant


@dataclass(frozen=True)
class IComFormerConfig:
    """Settings of iComFormer; the defaults are those of the published code, whose names stand behind.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    width: int = 256  # node_features, C; also of the edges and of the layer before the output
    conv_layers: int = 4  # conv_layers; the edges are updated after the first
    gaussians: int = 256  # edge_features and triplet_input_features
    neighbours: int = 25  # max_neighbors, k
    targets: int = 1

    def __post_init__(self) -> None:
        check_whole_numbers(self, width=1, conv_layers=2, gaussians=2, neighbours=1, targets=1)


class IComFormer(nn.Module):
    """Takes a `LatticeBatch`, returns (crystals, targets)."""

    atom_table: Float[Tensor, "101 92"]

    def __init__(self, config: IComFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("atom_table", atom_table(), persistent=False)  # f (Z, 92), a constant
        self.length_grid = GaussianGrid(-4, 0, config.gaussians)
        self.cosine_grid = GaussianGrid(-1, 1, config.gaussians)
        width = config.width
        self.embedding = nn.Linear(self.atom_table.shape[1], width)
        self.length = nn.Linear(config.gaussians, width)
        self.cosine = nn.Linear(config.gaussians, width)
        self.convolutions = nn.ModuleList(ComformerConv(width) for _ in range(config.conv_layers))
        self.edge_update = EdgeUpdate(width)
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, config.targets)

    def forward(self, batch: LatticeBatch) -> Float[Tensor, "crystals targets"]:
        """Predictions in scaled units.

        Raises:
            ValueError: an element beyond Z = 100.
        """
        check_elements("iComFormer", batch, LAST_ELEMENT)
        x = self.embedding(self.atom_table[batch.numbers])
        lengths = distinct(batch.edge_distances)
        e, rows = self._of_length(batch.edge_distances[lengths.first]), lengths.of
        ends = batch.edge_centers, batch.edge_neighbors
        messages = Messages.of(*ends, rows, len(x))
        for layer, convolution in enumerate(self.convolutions):
            if layer == 1:
                e, rows = self._updated(e, rows, batch)
                messages = Messages.of(*ends, rows, len(x))
            x = convolution(x, e, messages)
        crystal = torch.segment_reduce(x, "mean", lengths=batch.sizes)
        return self.output(F.silu(self.hidden(crystal)))

    def _of_length(self, length: Tensor) -> Tensor:
        return F.softplus(self.length(self.length_grid(-0.75 / length)))

    def _updated(self, e: Tensor, rows: Tensor, batch: LatticeBatch) -> tuple[Tensor, Tensor]:
        """Features of the distinct edges after the update, and which of them each edge has."""
        pairs, edges = _pairs(rows, batch)
        cosines = -batch.edge_cosines.flatten()[pairs.cosines.first]
        theta = F.softplus(self.cosine(self.cosine_grid(cosines)))
        lam = self._of_length(batch.lattice_lengths.flatten()).view(-1, 3, self.config.width)
        return self.edge_update(e, lam, theta, pairs), edges.of


class Pairs(NamedTuple):
    """The distinct pairs of an edge and a lattice vector l_m: P of them, from M distinct edges."""

    cosines: Distinct  # of all edges and m
    length: Int[Tensor, " P"]  # the row of e of each pair
    vector: Int[Tensor, " P"]  # 3 times the crystal plus m
    cosine: Int[Tensor, " P"]  # the distinct cosine
    counts: Int[Tensor, " P"]  # how often each pair occurs
    of_edge: Int[Tensor, "M 3"]  # the pairs of each distinct edge
    edge_length: Int[Tensor, " M"]  # the row of e of each distinct edge
    edge_counts: Int[Tensor, " M"]  # how often each edge occurs


def _pairs(rows: Tensor, batch: LatticeBatch) -> tuple[Pairs, Distinct]:
    """The distinct pairs and edges of a batch; `rows` (edges,) tells distinct lengths apart."""
    crystal = batch.crystal_of_atom[batch.edge_centers]
    vector = (3 * crystal[:, None] + torch.arange(3, device=crystal.device)).flatten()
    length = rows.repeat_interleave(3)
    cosines = distinct(batch.edge_cosines.flatten())
    pairs = distinct(length, vector, cosines.of)
    edges = distinct(*pairs.of.view(-1, 3).unbind(1))
    first = pairs.first
    of_edge = pairs.of.view(-1, 3)[edges.first]
    return (
        Pairs(
            cosines, length[first], vector[first], cosines.of[first], pairs.counts,
            of_edge, rows[edges.first], edges.counts,
        ),
        edges,
    )  # fmt: skip


class EdgeUpdate(nn.Module):
    """Messages from the three lattice vectors to each edge."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.lattice_keys = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.lattice_values = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.angle = nn.Linear(width, width, bias=False)
        self.messages = ChannelAttention(width)
        self.concat = nn.Linear(width, width)
        self.norm = CountedNorm(width)

    def forward(
        self,
        e: Float[Tensor, "lengths C"],
        lam: Float[Tensor, "crystals 3 C"],
        theta: Float[Tensor, "cosines C"],
        pairs: Pairs,
    ) -> Float[Tensor, "M C"]:
        """New features of the distinct edges; e is that of the distinct lengths."""
        rows = pairs.length, pairs.vector, pairs.cosine
        z_k, z_v = (
            sum_of_rows(self._parts(layers, own, lattice, e, lam, theta), rows)
            for layers, own, lattice in (
                (self.messages.key_update, self.key, self.lattice_keys),
                (self.messages.message_update, self.value, self.lattice_values),
            )
        )
        m = self.messages(rows_of(self.query(e), pairs.length), z_k, z_v, pairs.counts)
        total = sum_of_rows((m, m, m), pairs.of_edge.unbind(1))
        out = F.linear(total, self.concat.weight, 3 * self.concat.bias)
        return F.softplus(rows_of(e, pairs.edge_length) + self.norm(out, pairs.edge_counts))

    def _parts(
        self, layers: TwoLayers, own: nn.Linear, lattice: Iterable[Any], e: Tensor, lam: Tensor, theta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What e, λ and θ give to the first layer of key or value, each (its rows, C)."""
        by_vector = [layers.part(1, layer, lam[:, m]) for m, layer in enumerate(lattice)]
        return (
            layers.part(0, own, e),
            torch.stack(by_vector, dim=1).flatten(0, 1),
            layers.part(2, self.angle, theta),
        )


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: IComFormerConfig, cache: Path | None
) -> LatticeBatches:
    return LatticeBatches(store, scaled_targets, cache, config.neighbours, LAST_ELEMENT)


ENTRY = ModelEntry(
    key="icomformer",
    label="iComFormer",
    paper="Yan et al., ICLR 2024",
    config=IComFormerConfig,
    build=IComFormer,
    batches=_batches,
    graph="25 nearest with ties, both directions, 3 lattice vectors",
    published_parameters=4_892_417,
    published_recipe=ONE_CYCLE,
    variants={"3 layers": Variant({"conv_layers": 3}, 4_037_121)},  # 4,111,201 with its 74,080 unused
)
