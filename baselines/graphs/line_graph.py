"""The line graph: edges as nodes, joined where one leads to the atom at which the other starts.

An edge (i, j) of a graph carries a message from j to i. In the line graph, an edge that carries from atom b
to atom a hears of every edge that carries from an atom c to b, going back (c = a) included. At one b these
pairs are a full matrix, n edges out times n edges in, since every edge has its reverse. Atoms with equal n
are put together in tiles: what belongs to an edge is broadcast over its row or column of the matrix, and
sums over edges are sums along it, without an index per pair.

The m-th edge out is the reverse of the m-th edge in, so whatever depends on the angle of a pair alone is a
symmetric matrix: half of it, the triangle l >= m, says all. See `SymmetricTile`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Real
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystalformer.layers.segments import segment_offsets

# Pairs per tile: on a CPU as many as stay in its cache at some hundred numbers each, elsewhere all of a kind.
TILE_PAIRS = {"cpu": 1024}
LARGE_TILE = 2**18


@dataclass(frozen=True)
class PairTile:
    """The pairs at k atoms with n edges each.

    Attributes:
        incoming: edges towards the atoms.
        outgoing: edges away from the atoms, the reverses of `incoming`.
        rows: their k n² rows in arrays of all pairs, in the order (atom, edge out, edge in).
    """

    incoming: Int[Tensor, "k n"]
    outgoing: Int[Tensor, "k n"]
    rows: slice

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, n, n)"""
        k, n = self.incoming.shape
        return k, n, n

    @property
    def input_rows(self) -> slice:
        """The rows in arrays that `unfold` takes."""
        return self.rows

    def unfold(self, values: Float[Tensor, "inputs width"]) -> Float[Tensor, "k n n width"]:
        """The tile's rows of such an array as a matrix for each atom."""
        return values.unflatten(0, self.shape)

    def fold(self, grads: Float[Tensor, "k n n width"]) -> Float[Tensor, "inputs width"]:
        """The transpose of `unfold`: gradients summed to rows."""
        return grads.flatten(0, -2)

    def at_sources(self, values: Real[Tensor, "edges width"]) -> Real[Tensor, "k 1 n width"]:
        """`values` of the edge that sends."""
        return values.index_select(0, self.incoming.flatten()).unflatten(0, self.incoming.shape).unsqueeze(1)

    def at_targets(self, values: Real[Tensor, "edges width"]) -> Real[Tensor, "k n 1 width"]:
        """`values` of the edge that hears."""
        return values.index_select(0, self.outgoing.flatten()).unflatten(0, self.outgoing.shape).unsqueeze(2)

    def add_to_sources(
        self, values: Float[Tensor, "k n n width"], total: Float[Tensor, "edges width"]
    ) -> None:
        """Sums over the edges that hear, into `total`, zero before."""
        total[self.incoming] = values.sum(1)

    def add_to_targets(
        self, values: Float[Tensor, "k n n width"], total: Float[Tensor, "edges width"]
    ) -> None:
        """Sums over the edges that send, into `total`, zero before."""
        total[self.outgoing] = values.sum(2)


@dataclass(frozen=True)
class SymmetricTile(PairTile):
    """A tile of a symmetric array, given by the n(n + 1)/2 pairs of a triangle for each atom.

    Attributes:
        half_rows: the rows of these pairs in arrays of the triangles' pairs, in the order (atom, m, l).
        triangle: m and l of these pairs.
    """

    half_rows: slice
    triangle: Int[Tensor, "2 n*(n+1)//2"]

    @property
    def input_rows(self) -> slice:
        """See `PairTile.input_rows`."""
        return self.half_rows

    def unfold(self, values: Float[Tensor, "inputs width"]) -> Float[Tensor, "k n n width"]:
        """See `PairTile.unfold`."""
        k, n, _ = self.shape
        m, l = self.triangle  # noqa: E741
        entry = torch.empty(n, n, dtype=torch.int64, device=values.device)
        entry[m, l] = entry[l, m] = torch.arange(len(m), device=values.device)
        return values.unflatten(0, (k, -1)).index_select(1, entry.flatten()).unflatten(1, (n, n))

    def fold(self, grads: Float[Tensor, "k n n width"]) -> Float[Tensor, "inputs width"]:
        """See `PairTile.fold`."""
        n = grads.shape[1]
        m, l = self.triangle  # noqa: E741
        flat = grads.flatten(1, 2)
        mirrored = flat.index_select(1, l * n + m)
        mirrored[:, m == l] = 0  # an edge with its reverse is its own mirror image
        return flat.index_select(1, m * n + l).add_(mirrored).flatten(0, 1)

    def cosines(self, vectors: Float[Tensor, "edges 3"]) -> Float[Tensor, " inputs"]:
        """cos of the angle at the atom, of each pair of the triangles; `vectors` are not zero."""
        r = F.normalize(vectors.index_select(0, self.incoming.flatten()), dim=1)
        r = r.unflatten(0, self.incoming.shape)
        m, l = self.triangle  # noqa: E741
        return (r[:, m] * r[:, l]).sum(-1).clamp(-1, 1).flatten()


@dataclass(frozen=True)
class LineGraph:
    """All pairs of an edge in and an edge out.

    Attributes:
        tiles: all pairs.
        symmetric: the same pairs, for arrays that have the triangles only.
    """

    tiles: tuple[PairTile, ...]
    symmetric: tuple[SymmetricTile, ...]

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return self.tiles[-1].rows.stop if self.tiles else 0

    def cosines(
        self, vectors: Float[Tensor, "edges 3"]
    ) -> tuple[Float[Tensor, " half_pairs"], Float[Tensor, " half_pairs"]]:
        """cos of the angle of each pair in the triangles, and how many pairs it stands for (1 or 2).

        `vectors` lead from the centre to the neighbour.
        """
        cosines = torch.cat([tile.cosines(vectors) for tile in self.symmetric])
        counts = [
            torch.where(tile.triangle[0] == tile.triangle[1], 1.0, 2.0).repeat(len(tile.incoming))
            for tile in self.symmetric
        ]
        return cosines, torch.cat(counts).to(cosines.dtype)

    def unfold(self, values: Float[Tensor, "half_pairs width"]) -> Float[Tensor, "{self.pairs} width"]:
        """An array of the triangles' pairs as one of all pairs; differentiable."""
        return _Unfold.apply(values, self)


class _Unfold(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, graph: LineGraph) -> Tensor:
        ctx.graph, ctx.shape = graph, values.shape
        result = values.new_empty(graph.pairs, values.shape[1])
        for tile in graph.symmetric:
            result[tile.rows] = tile.unfold(values[tile.input_rows]).flatten(0, 2)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        result = grad.new_empty(ctx.shape)
        for tile in ctx.graph.symmetric:
            result[tile.input_rows] = tile.fold(grad[tile.rows].unflatten(0, tile.shape))
        return result, None


def line_graph(edge_counts: Int[Tensor, " atoms"], reverses: Int[Tensor, " edges"]) -> LineGraph:
    """The line graph of a graph in which every edge has its reverse.

    Args:
        edge_counts: `GraphBatch.edge_counts`.
        reverses: the reverse of each edge.
    """
    first_edge = segment_offsets(edge_counts)[:-1]
    tiles: list[PairTile] = []
    symmetric: list[SymmetricTile] = []
    row = half_row = 0
    for n, atoms in _by_degree(edge_counts):
        edges = first_edge[atoms, None] + torch.arange(n, device=atoms.device)
        triangle = torch.triu_indices(n, n, device=atoms.device)
        rows = slice(row, row + len(atoms) * n * n)
        half_rows = slice(half_row, half_row + len(atoms) * triangle.shape[1])
        tiles.append(PairTile(edges, reverses[edges], rows))
        symmetric.append(SymmetricTile(edges, reverses[edges], rows, half_rows, triangle))
        row, half_row = rows.stop, half_rows.stop
    return LineGraph(tuple(tiles), tuple(symmetric))


def _by_degree(counts: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Number of edges n, and atoms that have so many, few enough for a tile."""
    most = TILE_PAIRS.get(counts.device.type, LARGE_TILE)
    for n in counts.unique().tolist():
        if n:
            yield from ((n, atoms) for atoms in (counts == n).nonzero()[:, 0].split(max(1, most // n**2)))
