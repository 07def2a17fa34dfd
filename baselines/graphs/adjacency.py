"""Pairs of edges that share an atom: the angles of three-body terms and the edges of line graphs."""

import torch
from torch import Tensor


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
