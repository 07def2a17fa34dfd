"""`PotentialBatch`: the crystals of one step with their edges, and a potential for every two atoms.

In addition to the fields of `GraphBatch`, all ordered pairs of atoms of each crystal, i = j among them:

| field | shape | meaning |
|---|---|---|
| `pair_centers` | (pairs,) int64 | atom i, which receives; sorted |
| `pair_neighbors` | (pairs,) int64 | atom j, a row of the batch, as i; sorted for each i |
| `pair_potentials` | (pairs,) | s_ij |
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.graphs.batch import GraphBatch, GraphBatches
from baselines.graphs.pair_potentials import PairPotentials, open_potentials
from baselines.graphs.rule import EdgeRule
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import flat_rows


@dataclass(frozen=True)
class PotentialBatch(GraphBatch):
    """Crystals of one step with edges and potentials; see the module's table for shapes and units."""

    pair_centers: Int[Tensor, " pairs"]
    pair_neighbors: Int[Tensor, " pairs"]
    pair_potentials: Float[Tensor, " pairs"]


class PotentialBatches(GraphBatches):
    """Cuts batches with the edges of a rule and the potentials of another, see `GraphBatches`."""

    def __init__(
        self,
        store: ArrayStore,
        scaled_targets: Float[np.ndarray, "crystals targets"],
        cache_folder: Path | None,
        rule: EdgeRule,
        potentials: PairPotentials,
        last_element: int = 118,
    ) -> None:
        super().__init__(store, scaled_targets, cache_folder, rule, last_element)
        self.potentials = open_potentials(store, cache_folder, potentials)

    def __call__(self, indices: Int[np.ndarray, " crystals"]) -> PotentialBatch:
        """The crystals with these store rows, in this order."""
        batch = super().__call__(indices)
        sizes = batch.sizes.numpy()
        pairs = flat_rows(self.potentials.offsets[indices], sizes**2)
        partners = np.repeat(sizes, sizes)  # of each atom
        first_atom = np.repeat(np.cumsum(sizes) - sizes, sizes)
        return PotentialBatch(
            **vars(batch),
            pair_centers=torch.from_numpy(np.repeat(np.arange(len(partners)), partners)),
            pair_neighbors=torch.from_numpy(flat_rows(first_atom, partners)),
            pair_potentials=torch.from_numpy(self.potentials.potentials[pairs]),
        )
