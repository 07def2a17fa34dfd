"""A linear layer of concatenated features of an edge, [v_i ‖ v_j ‖ e_ij], with most of the work per atom."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from crystalformer.layers.linear import linear


class EdgeLinear(nn.Module):
    """z_ij = W [v_i ‖ v_j ‖ e_ij] + b, computed as W_i v_i + W_j v_j + (W_e e_ij + b).

    The same function as one layer on the concatenation, without building it: an atom has 12 to 40 edges,
    and the first two products are done once per atom.

    Args:
        node_width: entries of v.
        edge_width: entries of e.
        out_width: entries of z.
        bias: whether there is a b.
    """

    def __init__(self, node_width: int, edge_width: int, out_width: int, bias: bool = True) -> None:
        super().__init__()
        self.widths = (node_width, node_width, edge_width)
        self.linear = nn.Linear(sum(self.widths), out_width, bias=bias)

    def forward(
        self,
        v: Float[Tensor, "atoms node_width"],
        e: Float[Tensor, "edges edge_width"],
        centers: Int[Tensor, " edges"],
        neighbors: Int[Tensor, " edges"],
    ) -> Float[Tensor, "edges out_width"]:
        """z of each edge, from `centers` i and `neighbors` j."""
        w_i, w_j, w_e = self.linear.weight.split(self.widths, dim=1)
        z = linear(e, w_e, self.linear.bias)
        z += rows_of(linear(v, w_i), centers)
        z += rows_of(linear(v, w_j), neighbors)
        return z


def rows_of(
    values: Float[Tensor, "atoms width"], rows: Int[Tensor, " edges"]
) -> Float[Tensor, "edges width"]:
    """`values[rows]`, with a backward that adds up in a fixed order."""
    return F.embedding(rows, values)
