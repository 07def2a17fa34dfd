r"""eComFormer, the equivariant one of the two ComFormers.

K. Yan, C. Fu, X. Qian, X. Qian and S. Ji, Complete and Efficient Graph Transformers for Crystal Material
Property Prediction, ICLR 2024, and https://github.com/divelab/AIRS.

Atoms start from the element table of CGCNN, x_i = W f_i + b, edges (see `baselines.graphs.lattice_shells`)
from 256 Gaussians with centres from -4 to 0:

    e_ij = softplus(W_d RBF(-0.75 / |r_ij|) + b_d)

The first convolution (see `baselines.features.comformer_conv`) is followed by one equivariant update of s
scalars, v vectors and v tensors of rank 2 per atom, with products ⊗ with the harmonics of r_ij whose weights
come from e_ij (see `baselines.features.tensor_products`):

    h_i = W_s x_i + b_s                            s scalars
    (a_i, b_i, c_i) = mean_j h_j ⊗ Y(r_ij),        s scalars, v vectors, v tensors;   a_i ← a_i + h_i
    h_i = mean_j (a_j, b_j, c_j) ⊗ Y(r_ij)         s scalars
    x_i ← softplus(W_t softplus(BN(h_i)) + b_t) + W_r x_i + b_r

Then come the other convolutions, and y = W_y SiLU(W_f mean_i x_i + b_f) + b_y.

What differs from the published code, of which none changes the function:
- The weights of the products, 18,432 for every edge, are never made; sums over edges come first.
- Products are done once per atom or distinct length, not once per edge.
- Lattice vectors that symmetry makes equally long are chosen by a fixed rule, not by the order of a search.
- A batch of one atom uses the running statistics in BN while training, where the published code stops.

What is as published and worth knowing: s = 128 is the setting of the paper's tables (12,459,137 parameters),
the released code has s = 64, the paper's eComFormer-half (5,583,809). Only scalar products of vectors and of
tensors reach the output: a crystal and its mirror image give the same. The graph has the given lattice's
vectors, so a supercell gives another prediction, and where the choice of these vectors is free, so may
another basis. The element table ends at Z = 100 and cannot tell La from Ce.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.features.atom_table import LAST_ELEMENT, atom_table
from baselines.features.comformer_conv import ComformerConv, Messages
from baselines.features.counted_norm import CountedNorm
from baselines.features.distinct import distinct
from baselines.features.gaussians import GaussianGrid
from baselines.features.recipes import ONE_CYCLE
from baselines.features.tensor_products import FromScalars, ToScalars, harmonics
from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.batch_checks import check_elements
from baselines.graphs.config_checks import check_whole_numbers
from baselines.graphs.lattice_shells import LatticeShells
from crystalformer.data.array_store import ArrayStore
from crystalformer.entry import ModelEntry, Variant


@dataclass(frozen=True)
class EComFormerConfig:
    """Settings of eComFormer; the defaults are those of the paper, names of the published code stand behind.

    Raises:
        ValueError: a value is outside its range; the message names field, range and value.
    """

    width: int = 256  # node_features, C; also of the edges and of the layer before the output
    conv_layers: int = 3  # conv_layers; the equivariant update comes after the first
    scalars: int = 128  # ns, s; 64 in the released code
    vectors: int = 8  # nv, v
    gaussians: int = 256  # edge_features
    neighbours: int = 25  # max_neighbors, k
    targets: int = 1

    def __post_init__(self) -> None:
        check_whole_numbers(self, width=1, conv_layers=1, scalars=1, vectors=1)
        check_whole_numbers(self, gaussians=2, neighbours=1, targets=1)


class EComFormer(nn.Module):
    """Takes a `GraphBatch` with the edges of `LatticeShells`, returns (crystals, targets)."""

    atom_table: Float[Tensor, "101 92"]

    def __init__(self, config: EComFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("atom_table", atom_table(), persistent=False)  # f (Z, 92), a constant
        self.length_grid = GaussianGrid(-4, 0, config.gaussians)
        width = config.width
        self.embedding = nn.Linear(self.atom_table.shape[1], width)
        self.length = nn.Linear(config.gaussians, width)
        self.convolutions = nn.ModuleList(ComformerConv(width) for _ in range(config.conv_layers))
        self.equivariant = EquivariantUpdate(width, config.scalars, config.vectors)
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, config.targets)

    def forward(self, batch: GraphBatch) -> Float[Tensor, "crystals targets"]:
        """Predictions in scaled units.

        Raises:
            ValueError: an element beyond Z = 100.
        """
        check_elements("eComFormer", batch, LAST_ELEMENT)
        x = self.embedding(self.atom_table[batch.numbers])
        lengths = distinct(batch.edge_distances)
        e = F.softplus(self.length(self.length_grid(-0.75 / batch.edge_distances[lengths.first])))
        messages = Messages.of(batch.edge_centers, batch.edge_neighbors, lengths.of, len(x))
        for layer, convolution in enumerate(self.convolutions):
            x = convolution(x, e, messages)
            if layer == 0:
                x = self.equivariant(x, e, lengths.of, batch)
        crystal = torch.segment_reduce(x, "mean", lengths=batch.sizes)
        return self.output(F.silu(self.hidden(crystal)))


class EquivariantUpdate(nn.Module):
    """New features of the atoms that depend on the directions of their edges."""

    def __init__(self, width: int, scalars: int, vectors: int) -> None:
        super().__init__()
        self.scalar = nn.Linear(width, scalars)
        self.from_scalars = FromScalars(width, scalars, vectors)
        self.to_scalars = ToScalars(width, scalars, vectors)
        self.norm = CountedNorm(scalars)
        self.back = nn.Linear(scalars, width)
        self.skip = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "atoms C"],
        e: Float[Tensor, "lengths C"],
        edge_rows: Int[Tensor, " edges"],
        batch: GraphBatch,
    ) -> Float[Tensor, "atoms C"]:
        """The new x; `edge_rows` says which of the distinct lengths in `e` each edge has."""
        centers, neighbors, counts = batch.edge_centers, batch.edge_neighbors, batch.edge_counts
        y = harmonics(batch.edge_vectors())
        h = self.scalar(x)
        a, b, c = self.from_scalars(h, e, edge_rows, neighbors, y, counts)
        h = self.to_scalars((a + h, b, c), e, edge_rows, centers, neighbors, y, counts)
        return F.softplus(self.back(F.softplus(self.norm(h)))) + self.skip(x)


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: EComFormerConfig, cache: Path | None
) -> GraphBatches:
    rule = LatticeShells(config.neighbours)
    return GraphBatches(store, scaled_targets, cache, rule, last_element=LAST_ELEMENT)


ENTRY = ModelEntry(
    key="ecomformer",
    label="eComFormer",
    paper="Yan et al., ICLR 2024",
    config=EComFormerConfig,
    build=EComFormer,
    batches=_batches,
    graph="25 nearest with ties, both directions, 3 lattice vectors",
    published_parameters=12_459_137,
    published_recipe=ONE_CYCLE,
    variants={"half": Variant({"scalars": 64}, 5_583_809)},  # of the released code
)
