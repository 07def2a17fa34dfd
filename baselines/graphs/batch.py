"""`GraphBatch`: the crystals of one step with edges between their atoms.

In addition to the fields of `CrystalBatch`:

| field | shape | unit | meaning |
|---|---|---|---|
| `edge_centers` | (edges,) int64 | - | atom i, which receives; sorted |
| `edge_neighbors` | (edges,) int64 | - | atom j, which sends; a row of the batch, as i |
| `edge_images` | (edges, 3) int64 | cell vectors | n: the neighbour is at p_j + n L |
| `edge_distances` | (edges,) | Å | d_ij, the length of p_j + n L - p_i |
| `edge_counts` | (atoms,) int64 | - | edges of each atom i, 0 where it has none |
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.graphs.edge_lists import open_edges
from baselines.graphs.rule import EdgeRule
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatch, CrystalBatches, flat_rows
from crystalformer.data.elements import unknown_elements


@dataclass(frozen=True)
class GraphBatch(CrystalBatch):
    """Crystals of one step as graphs; see the module's table for shapes and units."""

    edge_centers: Int[Tensor, " edges"]
    edge_neighbors: Int[Tensor, " edges"]
    edge_images: Int[Tensor, "edges 3"]
    edge_distances: Float[Tensor, " edges"]
    edge_counts: Int[Tensor, " atoms"]

    def edge_vectors(self) -> Float[Tensor, "edges 3"]:
        """p_j + n L - p_i of each edge, in Å; differentiable in positions and lattices."""
        lattices = self.lattices[self.crystal_of_atom[self.edge_centers]]
        shifts = (self.edge_images.to(lattices.dtype).unsqueeze(1) @ lattices).squeeze(1)
        return self.positions[self.edge_neighbors] + shifts - self.positions[self.edge_centers]


class GraphBatches(CrystalBatches):
    """Cuts batches with the edges of a rule.

    The edges of the whole store lie in `cache_folder`, or in memory, and are built at the first use (see
    `edge_lists`); a call only slices them. `failures` has the crystals that the rule cannot represent and
    those with an element beyond `last_element` (Z); asking for one of them raises ValueError.
    """

    def __init__(
        self,
        store: ArrayStore,
        scaled_targets: Float[np.ndarray, "crystals targets"],
        cache_folder: Path | None,
        rule: EdgeRule,
        last_element: int = 118,
    ) -> None:
        super().__init__(store, scaled_targets)
        self.lists = open_edges(store, cache_folder, rule)
        self.failures |= self.lists.failures | unknown_elements(store, last_element)

    def __call__(self, indices: Int[np.ndarray, " crystals"]) -> GraphBatch:
        """The crystals with these store rows, in this order."""
        batch = super().__call__(indices)
        lists, sizes = self.lists, batch.sizes.numpy()
        atoms = flat_rows(self.store.offsets[indices], sizes)
        starts = lists.offsets[atoms]
        counts = lists.offsets[atoms + 1] - starts
        edges = flat_rows(starts, counts)
        centers = np.repeat(np.arange(len(atoms)), counts)
        first_atom = np.repeat(np.cumsum(sizes) - sizes, sizes)
        return GraphBatch(
            **vars(batch),
            edge_centers=torch.from_numpy(centers),
            edge_neighbors=torch.from_numpy(lists.neighbors[edges] + first_atom[centers]),
            edge_images=torch.from_numpy(lists.images[edges].astype(np.int64)),
            edge_distances=torch.from_numpy(lists.distances[edges]),
            edge_counts=torch.from_numpy(counts),
        )
