r"""The attention of ComFormer, of one channel per feature, and its convolution over the edges of a crystal.

K. Yan, C. Fu, X. Qian, X. Qian and S. Ji, Complete and Efficient Graph Transformers for Crystal Material
Property Prediction, ICLR 2024, Sec. 4. Each message m has a query q, and a key and a value whose three parts
are concatenated; all have C entries:

    k̃ = W_k2 SiLU(W_k1 [k_1 ‖ k_2 ‖ e] + b_k1) + b_k2,    α = q ⊙ k̃ / √C
    m = (W_v2 SiLU(W_v1 [v_1 ‖ v_2 ‖ e] + b_v1) + b_v2) ⊙ σ(BN_α(α))

In a convolution, q, k_1, v_1 come from the atom that receives, k_2, v_2 from the one that sends, and

    x_i ← softplus(x_i + BN(W_c Σ_j m_ij + b_c))

The published code builds the concatenations for all edges. Here W_k1 and W_v1 are applied to the three parts
one by one, per atom and per distinct edge feature. Two layers with nothing in between are one, whose matrix
is multiplied out first. The function is the same.
"""

import math
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.features.counted_norm import CountedNorm
from baselines.features.distinct import distinct
from baselines.features.edge_linear import rows_of
from baselines.graphs.batch import GraphBatch
from crystalformer.layers.segments import segment_sum


class TwoLayers(nn.Module):
    """W_2 SiLU(W_1 [a ‖ b ‖ e] + b_1) + b_2, of which the parts of W_1 are applied one by one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(3 * width, width)
        self.second = nn.Linear(width, width)

    def part(self, number: int, layer: nn.Linear, x: Tensor) -> Tensor:
        """Block `number` (0 to 2) of W_1 applied to `layer(x)`, with b_1 in the last; all (rows, C)."""
        block = self.first.weight.chunk(3, dim=1)[number]
        bias = block @ layer.bias if layer.bias is not None else None
        if number == 2:
            bias = self.first.bias if bias is None else self.first.bias + bias
        return F.linear(x, block @ layer.weight, bias)

    def forward(self, z: Tensor) -> Tensor:
        """From the sum z of the three parts, (rows, C) -> (rows, C)."""
        return self.second(F.silu(z))


class GatedMessages(nn.Module):
    """m from a query and the sums of the parts of key and value."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key_update = TwoLayers(width)
        self.message_update = TwoLayers(width)
        self.attention_norm = CountedNorm(width)

    def forward(self, q: Tensor, z_k: Tensor, z_v: Tensor, counts: Tensor | None = None) -> Tensor:
        """All (messages, C); `counts` (messages,): how often each occurs, for BN_α."""
        alpha = q * self.key_update(z_k) / math.sqrt(q.shape[1])
        return self.message_update(z_v) * torch.sigmoid(self.attention_norm(alpha, counts))


class ComformerConv(nn.Module):
    """One convolution: messages along all edges, added to the features of the atoms that receive them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.edge = nn.Linear(width, width)
        self.messages = GatedMessages(width)
        self.concat = nn.Linear(width, width)
        self.norm = CountedNorm(width)

    def forward(self, x: Tensor, e: Tensor, edges: "Messages") -> Tensor:
        """New features of the atoms, (atoms, C); `x` (atoms, C), `e` (distinct edges, C)."""
        z_k, z_v = (
            rows_of(layers.part(2, self.edge, e), edges.rows)
            + rows_of(layers.part(0, layer, x), edges.centers)
            + rows_of(layers.part(1, layer, x), edges.neighbors)
            for layers, layer in (
                (self.messages.key_update, self.key),
                (self.messages.message_update, self.value),
            )
        )
        m = self.messages(rows_of(self.query(x), edges.centers), z_k, z_v, edges.counts)
        total = segment_sum(m * edges.counts.to(m.dtype)[:, None], edges.per_center)
        return F.softplus(x + self.norm(self.concat(total)))


class Messages(NamedTuple):
    """The distinct messages of a convolution, sorted by the atom that receives.

    An atom may get the same several times, by symmetry or as an edge occurs twice.
    """

    centers: Tensor  # (messages,) int64, the atom that receives
    neighbors: Tensor  # (messages,) int64, the atom that sends
    rows: Tensor  # (messages,) int64, the distinct edge
    counts: Tensor  # (messages,) int64, how often each message occurs
    per_center: Tensor  # (atoms,) int64, messages of each atom

    @classmethod
    def of(cls, batch: GraphBatch, edge_rows: Tensor) -> Self:
        """`edge_rows` (edges,) int64 tells which edges have equal features."""
        found = distinct(batch.edge_centers, batch.edge_neighbors, edge_rows)
        centers = batch.edge_centers[found.first]
        per_center = torch.bincount(centers, minlength=len(batch.numbers))
        return cls(
            centers, batch.edge_neighbors[found.first], edge_rows[found.first], found.counts, per_center
        )
