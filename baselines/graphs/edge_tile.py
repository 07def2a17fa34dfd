"""The edges of a batch behind the interface of a line graph's tiles, for layers that work on either graph."""

from dataclasses import dataclass

from jaxtyping import Float, Int, Real
from torch import Tensor

from baselines.graphs.batch import GraphBatch
from crystalformer.layers.segments import segment_sum


@dataclass(frozen=True)
class EdgeTile:
    """All edges of a batch. Atoms send and hear; see `baselines.graphs.line_graph.PairTile` for the methods.

    Attributes:
        batch: in which every edge has its reverse.
        reverses: the reverse of each edge.
    """

    batch: GraphBatch
    reverses: Int[Tensor, " edges"]

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

    def unfold(self, values: Float[Tensor, "edges width"]) -> Float[Tensor, "edges width"]:
        """The values themselves."""
        return values

    def fold(self, grads: Float[Tensor, "edges width"]) -> Float[Tensor, "edges width"]:
        """The gradients themselves."""
        return grads

    def at_sources(self, values: Real[Tensor, "atoms width"]) -> Real[Tensor, "edges width"]:
        """`values` of the atom that sends."""
        return values.index_select(0, self.batch.edge_neighbors)

    def at_targets(self, values: Real[Tensor, "atoms width"]) -> Real[Tensor, "edges width"]:
        """`values` of the atom that hears."""
        return values.index_select(0, self.batch.edge_centers)

    def add_to_sources(
        self, values: Float[Tensor, "edges width"], total: Float[Tensor, "atoms width"]
    ) -> None:
        """Sums over what an atom sends, into `total`, zero before."""
        # What an atom sends goes along the reverses of what it hears from, which lie side by side.
        total.copy_(segment_sum(values.index_select(0, self.reverses), self.batch.edge_counts))

    def add_to_targets(
        self, values: Float[Tensor, "edges width"], total: Float[Tensor, "atoms width"]
    ) -> None:
        """Sums over what an atom hears, into `total`, zero before."""
        total.copy_(segment_sum(values, self.batch.edge_counts))
