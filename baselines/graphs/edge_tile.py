"""The edges of a batch in tiles with the interface of `line_graph`, for layers that work on either graph."""

from dataclasses import dataclass

from torch import Tensor

from baselines.graphs.batch import GraphBatch
from crystalformer.layers.segments import segment_sum

TILE_EDGES = {"cpu": 512}


@dataclass(frozen=True)
class EdgeTile:
    """Edges of a batch, all those of their centres.

    Attributes:
        rows: their rows in arrays of all edges.
        centers: (edges of the tile,) atoms that hear.
        neighbors: (edges of the tile,) atoms that send.
    """

    rows: slice
    centers: Tensor
    neighbors: Tensor

    @property
    def shape(self) -> tuple[int]:
        """(edges of the tile,)"""
        return (len(self.centers),)

    @property
    def input_rows(self) -> slice:
        """The same as `rows`."""
        return self.rows

    def unfold(self, values: Tensor) -> Tensor:
        """(edges, width) -> (edges, width)."""
        return values

    def fold(self, grads: Tensor) -> Tensor:
        """(edges, width) -> (edges, width)."""
        return grads

    def at_sources(self, values: Tensor) -> Tensor:
        """`values` (atoms, width) of the atom that sends, (edges, width)."""
        return values.index_select(0, self.neighbors)

    def at_targets(self, values: Tensor) -> Tensor:
        """`values` (atoms, width) of the atom that hears, (edges, width)."""
        return values.index_select(0, self.centers)

    def add_to_sources(self, values: Tensor, total: Tensor) -> None:
        """Adds (edges, width) to the atoms that send in `total` (atoms, width)."""
        total.index_add_(0, self.neighbors, values)

    def add_to_targets(self, values: Tensor, total: Tensor) -> None:
        """Adds (edges, width) to the atoms that hear in `total` (atoms, width)."""
        total.index_add_(0, self.centers, values)


def edge_tiles(batch: GraphBatch) -> tuple[EdgeTile, ...]:
    """The edges of a batch in portions that stay in the cache of a CPU."""
    edges = len(batch.edge_centers)
    step = TILE_EDGES.get(batch.edge_centers.device.type, max(edges, 1))
    rows = [slice(start, min(start + step, edges)) for start in range(0, edges, step)]
    return tuple(EdgeTile(r, batch.edge_centers[r], batch.edge_neighbors[r]) for r in rows)
