"""Edges that share an atom: the angles of three-body terms, the pairs of line graphs, and reverses."""

import torch
from torch import Tensor

from baselines.graphs.batch import GraphBatch


def edges_at(atoms: Tensor, edge_counts: Tensor) -> tuple[Tensor, Tensor]:
    """For each entry of `atoms`, the edges of which that atom is the centre.

    With `atoms = batch.edge_centers` these are the pairs of edges (i-j, i-k) with one centre, each with
    itself among them; with `batch.edge_neighbors`, the pairs (i-j, j-k) of a line graph.

    Args:
        atoms: (entries,) int64.
        edge_counts: (atoms,) int64, `GraphBatch.edge_counts`.

    Returns:
        (pairs,) the entry and (pairs,) the edge of each pair, both int64; sorted by the entry, then the edge.
    """
    first_edge = edge_counts.cumsum(0) - edge_counts
    counts = edge_counts[atoms]
    entries = torch.repeat_interleave(torch.arange(len(atoms), device=atoms.device), counts)
    first_pair = counts.cumsum(0) - counts
    within = torch.arange(len(entries), device=atoms.device) - first_pair[entries]
    return entries, first_edge[atoms][entries] + within


def reverse_edges(batch: GraphBatch) -> Tensor:
    """The reverse (j, i, -n) of each edge (i, j, n); of several equal edges each has another one.

    Returns:
        (edges,) int64.

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
