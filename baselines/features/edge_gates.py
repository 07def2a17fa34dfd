r"""The gated mean of ALIGNN, over the edges of a graph or the pairs of its line graph.

For node i with the senders j, and z_ij the features of the edge or pair between them:

    m_ij = a_j + b_i + W z_ij,   h_i = Σ_j σ(m_ij) ⊙ v_j / (Σ_j σ(m_ij) + ε),   ε = 10⁻⁶

Of what has the size of z, only z itself and m are kept for the backward pass; the gates are computed again,
tile by tile, and the products with W while a tile is in the cache. With q_i = g_i / (Σ_j σ(m_ij) + ε) for the
gradient g of a loss by h:

    dv_j = Σ_i σ(m_ij) q_i,   dm_ij += σ(m_ij) (1 - σ(m_ij)) q_i (v_j - h_i)
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float, Real
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystalformer.layers.linear import product

EPSILON = 1e-6


class Tile(Protocol):
    """Some of the edges or pairs, all those of their targets; see `baselines.graphs.line_graph.PairTile`.

    Their rows lie in a block of `shape`. What belongs to a node has that shape, too, but for axes along which
    it is the same, which have length 1.
    """

    @property
    def rows(self) -> slice:
        """The tile's rows in arrays of all edges or pairs."""
        ...

    @property
    def input_rows(self) -> slice:
        """The tile's rows in arrays that `unfold` takes."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Axes of the block; their product is the number of rows."""
        ...

    def unfold(self, values: Float[Tensor, "inputs width"]) -> Float[Tensor, "*shape width"]:
        """Rows of z as a block."""
        ...

    def fold(self, grads: Float[Tensor, "*shape width"]) -> Float[Tensor, "inputs width"]:
        """The transpose of `unfold`: gradients of a block summed to rows."""
        ...

    def at_sources(self, values: Real[Tensor, "nodes width"]) -> Real[Tensor, "*shape width"]:
        """What belongs to the node that sends."""
        ...

    def at_targets(self, values: Real[Tensor, "nodes width"]) -> Real[Tensor, "*shape width"]:
        """What belongs to the node that hears."""
        ...

    def add_to_sources(
        self, values: Float[Tensor, "*shape width"], total: Float[Tensor, "nodes width"]
    ) -> None:
        """Sums over what a node sends, into `total`, which is zero there before."""
        ...

    def add_to_targets(
        self, values: Float[Tensor, "*shape width"], total: Float[Tensor, "nodes width"]
    ) -> None:
        """Sums over what a node hears, into `total`, which is zero there before."""
        ...


def gated_mean(
    z: Float[Tensor, "inputs n_in"],
    weight: Float[Tensor, "width n_in"],
    a: Float[Tensor, "nodes width"],
    b: Float[Tensor, "nodes width"],
    v: Float[Tensor, "nodes width"],
    tiles: Sequence[Tile],
) -> tuple[Float[Tensor, "nodes width"], Float[Tensor, "rows width"]]:
    """h and m; differentiable once, by all five tensors.

    Args:
        z: a row for each edge or pair, or, for tiles of a symmetric z, half of it.
        weight: W.
        a: of the sender.
        b: of the hearer.
        v: of the sender.
        tiles: every edge or pair once; a node hears in one of them and sends in one of them.
    """
    return _GatedMean.apply(z, weight, a, b, v, tiles)


class _GatedMean(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, weight: Tensor, a: Tensor, b: Tensor, v: Tensor, tiles: Sequence[Tile]
    ) -> tuple[Tensor, Tensor]:
        m = z.new_empty(tiles[-1].rows.stop, len(weight))
        weights, sums = torch.zeros_like(v), torch.zeros_like(v)
        for tile in tiles:
            here = m[tile.rows].view(*tile.shape, -1)
            torch.add(tile.unfold(product(z[tile.input_rows], weight)), tile.at_sources(a), out=here)
            here += tile.at_targets(b)
            gate = torch.sigmoid(here)
            tile.add_to_targets(gate, weights)
            tile.add_to_targets(gate.mul_(tile.at_sources(v)), sums)
        weights += EPSILON
        h = sums.div_(weights)
        ctx.save_for_backward(z, weight, v, m, weights, h)
        ctx.tiles = tiles
        ctx.set_materialize_grads(False)
        return h, m

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor | None, grad_m: Tensor | None) -> tuple[Tensor | None, ...]:
        z, weight, v, m, weights, h = ctx.saved_tensors
        q = torch.zeros_like(h) if grad_h is None else grad_h / weights
        qh = (q * h).neg_()
        dz = torch.empty_like(z) if ctx.needs_input_grad[0] else None
        d_weight = torch.zeros_like(weight)
        da, db, dv = torch.zeros_like(v), torch.zeros_like(v), torch.zeros_like(v)
        for tile in ctx.tiles:
            here, q_i = m[tile.rows].view(*tile.shape, -1), tile.at_targets(q)
            gate = torch.sigmoid(here)
            tile.add_to_sources(gate * q_i, dv)
            dm = torch.addcmul(tile.at_targets(qh), q_i, tile.at_sources(v))
            dm = torch.ops.aten.sigmoid_backward.grad_input(dm, gate, grad_input=dm)
            if grad_m is not None:
                dm += grad_m[tile.rows].view_as(dm)
            tile.add_to_sources(dm, da)
            tile.add_to_targets(dm, db)
            dm = tile.fold(dm)
            d_weight += product(dm.T, z[tile.input_rows].T)
            if dz is not None:
                dz[tile.input_rows] = product(dm, weight.T)
        return dz, d_weight, da, db, dv, None
