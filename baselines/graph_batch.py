"""`GraphBatch`: the crystals of one step with edges between their atoms.

In addition to the fields of `CrystalBatch`:

| field | shape | unit | meaning |
|---|---|---|---|
| `edge_centers` | (edges,) int64 | - | atom i, which receives; its edges follow each other, nearest first |
| `edge_neighbors` | (edges,) int64 | - | atom j, which sends; a row of the batch, as i |
| `edge_images` | (edges, 3) int64 | cell vectors | n: the neighbour is at p_j + n L |
| `edge_distances` | (edges,) | Å | d_ij, the length of p_j + n L - p_i; above the radius: padding |
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from baselines.graph_cache import KNearest, open_graph
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatch, CrystalBatches, flat_rows


@dataclass(frozen=True)
class GraphBatch(CrystalBatch):
    """Crystals of one step as graphs; see the module's table for shapes and units."""

    edge_centers: Tensor
    edge_neighbors: Tensor
    edge_images: Tensor
    edge_distances: Tensor


class KNearestBatches(CrystalBatches):
    """Cuts batches of k-nearest graphs: every atom has exactly `neighbours` edges.

    The graphs of the whole store lie in `cache_folder` and are built there at the first use (see
    `baselines.graph_cache`); a call only slices them. `radius` is in Å.
    """

    def __init__(
        self,
        store: ArrayStore,
        scaled_targets: np.ndarray,
        cache_folder: Path,
        neighbours: int = 12,
        radius: float = 8.0,
    ) -> None:
        super().__init__(store, scaled_targets)
        self.neighbours = neighbours
        self.graph = open_graph(store, cache_folder, KNearest(neighbours, float(radius)))

    def __call__(self, indices: np.ndarray) -> GraphBatch:
        """The crystals with these store rows, in this order."""
        batch = super().__call__(indices)
        sizes = batch.sizes.numpy()
        rows = flat_rows(self.store.offsets[indices], sizes)
        first_atom = np.repeat(np.cumsum(sizes) - sizes, sizes)
        neighbors = self.graph.neighbors[rows] + first_atom[:, None]
        return GraphBatch(
            **vars(batch),
            edge_centers=torch.arange(len(rows)).repeat_interleave(self.neighbours),
            edge_neighbors=torch.from_numpy(neighbors.reshape(-1)),
            edge_images=torch.from_numpy(self.graph.images[rows].reshape(-1, 3).astype(np.int64)),
            edge_distances=torch.from_numpy(self.graph.distances[rows].reshape(-1)),
        )
