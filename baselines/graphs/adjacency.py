"""The edge that leads back, for each edge."""

import torch
from jaxtyping import Int
from torch import Tensor

from baselines.graphs.batch import GraphBatch


def reverse_edges(batch: GraphBatch) -> Int[Tensor, " edges"]:
    """The reverse (j, i, -n) of each edge (i, j, n); of several equal edges each has another one.

    Raises:
        ValueError: an edge has no reverse.
    """
    i, j, images = batch.edge_centers, batch.edge_neighbors, batch.edge_images
    reach = int(images.abs().max()) if len(images) else 0
    span, atoms = 2 * reach + 1, len(batch.edge_counts)

    def key(first: Tensor, second: Tensor, n: Tensor) -> Tensor:
        n = n + reach
        return (((first * atoms + second) * span + n[:, 0]) * span + n[:, 1]) * span + n[:, 2]

    keys, order = key(i, j, images).sort(stable=True)
    reverse_keys, reverse_order = key(j, i, -images).sort(stable=True)
    if not torch.equal(keys, reverse_keys):
        raise ValueError("edges: expected every edge with its reverse; cut the batches by NearestShells")
    return torch.empty_like(order).index_copy_(0, order, reverse_order)
