r"""The convolution of ComFormer over the edges of a crystal.

K. Yan, C. Fu, X. Qian, X. Qian and S. Ji, Complete and Efficient Graph Transformers for Crystal Material
Property Prediction, ICLR 2024, Sec. 4. The atom that receives gives the query and the first parts of key and
value, the one that sends the second parts, the edge the third (see `baselines.features.channel_attention`):

    q_i = W_q x_i + b_q,    k_i = W_k x_i + b_k,    v_i = W_v x_i + b_v,    e'_ij = W_e e_ij + b_e
    x_i ← softplus(x_i + BN(W_c Σ_j message_ij + b_c))

The published code builds the concatenations for all edges. Here products are done once per atom and per
distinct edge feature, and what is left to do for each edge is done once for those that are equal.
"""

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.features.channel_attention import ChannelAttention, sum_of_rows
from baselines.features.counted_norm import CountedNorm
from baselines.features.distinct import distinct
from baselines.features.edge_linear import rows_of
from crystalformer.layers.segments import segment_sum


class Messages(NamedTuple):
    """The distinct messages of a convolution, sorted by the atom that receives.

    An atom may get the same several times, by symmetry or as an edge occurs twice.
    """

    centers: Int[Tensor, " messages"]  # the atom that receives
    neighbors: Int[Tensor, " messages"]  # the atom that sends
    rows: Int[Tensor, " messages"]  # the distinct edge
    counts: Int[Tensor, " messages"]  # how often each message occurs
    per_center: Int[Tensor, " atoms"]  # messages of each atom

    @classmethod
    def of(
        cls,
        centers: Int[Tensor, " edges"],
        neighbors: Int[Tensor, " edges"],
        edge_rows: Int[Tensor, " edges"],
        atoms: int,
    ) -> Self:
        """Of edges, with `edge_rows` to tell which of them have equal features."""
        first, _, counts = distinct(centers, neighbors, edge_rows)
        per_center = torch.bincount(centers[first], minlength=atoms)
        return cls(centers[first], neighbors[first], edge_rows[first], counts, per_center)


class ComformerConv(nn.Module):
    """One convolution: messages along all edges, added to the features of the atoms that receive them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.edge = nn.Linear(width, width)
        self.messages = ChannelAttention(width)
        self.concat = nn.Linear(width, width)
        self.norm = CountedNorm(width)

    def forward(
        self, x: Float[Tensor, "atoms C"], e: Float[Tensor, "distinct C"], edges: Messages
    ) -> Float[Tensor, "atoms C"]:
        """New features of the atoms; `e` are those of the distinct edges."""
        rows = edges.centers, edges.neighbors, edges.rows
        z_k, z_v = (
            sum_of_rows((layers.part(0, own, x), layers.part(1, own, x), layers.part(2, self.edge, e)), rows)
            for layers, own in (
                (self.messages.key_update, self.key),
                (self.messages.message_update, self.value),
            )
        )
        m = self.messages(rows_of(self.query(x), edges.centers), z_k, z_v, edges.counts)
        total = segment_sum(m * edges.counts.to(m.dtype)[:, None], edges.per_center)
        return F.softplus(x + self.norm(self.concat(total)))
