"""The edges of a batch behind the interface of a line graph's tiles, for layers that work on either graph."""

from dataclasses import dataclass

from torch import Tensor

from baselines.graphs.batch import GraphBatch
from crystalformer.layers.segments import segment_sum


@dataclass(frozen=True)
class EdgeTile:
    """All edges of a batch. Atoms send and hear; see `baselines.graphs.line_graph.PairTile` for the methods.

    Attributes:
        batch: in which every edge has its reverse.
        reverses: the reverse of each edge, (edges,).
    """

    batch: GraphBatch
    reverses: Tensor

    @property
    def rows(self) -> slice:
        """All rows of arrays of edges."""
        return slice(0, len(self.reverses))

    @property
    def input_rows(self) -> slice:
        """The same."""
        return self.rows

    @property
    def shape(self) -> tuple[int]:
        """(edges,)"""
        return (len(self.reverses),)

    def unfold(self, values: Tensor) -> Tensor:
        """(edges, width) -> (edges, width)"""
        return values

    def fold(self, grads: Tensor) -> Tensor:
        """(edges, width) -> (edges, width)"""
        return grads

    def at_sources(self, values: Tensor) -> Tensor:
        """`values` (atoms, width) of the atom that sends, (edges, width)."""
        return values.index_select(0, self.batch.edge_neighbors)

    def at_targets(self, values: Tensor) -> Tensor:
        """`values` (atoms, width) of the atom that hears, (edges, width)."""
        return values.index_select(0, self.batch.edge_centers)

    def add_to_sources(self, values: Tensor, total: Tensor) -> None:
        """Sums (edges, width) over what an atom sends, into `total` (atoms, width), zero before."""
        # What an atom sends goes along the reverses of what it hears from, which lie side by side.
        total.copy_(segment_sum(values.index_select(0, self.reverses), self.batch.edge_counts))

    def add_to_targets(self, values: Tensor, total: Tensor) -> None:
        """Sums (edges, width) over what an atom hears, into `total` (atoms, width), zero before."""
        total.copy_(segment_sum(values, self.batch.edge_counts))
