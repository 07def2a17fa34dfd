"""Messages along the edges of a batch, some of which stand for several equal ones, computed in blocks.

A batch of 64 crystals has tens of thousands of messages with hundreds of entries: 50 to 130 MB for each of a
dozen intermediate values, which a processor spends its time on moving. In blocks that fit into its cache all
of them are computed for some messages before the next are begun.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.features.edge_linear import rows_of

BLOCK = 512  # messages at once on a CPU
LARGE_BLOCK = 32768  # elsewhere, where it is the memory that is to be bounded


class Messages(NamedTuple):
    """Who sends to whom, sorted by i.

    | field | meaning |
    |---|---|
    | `centers`, `neighbors` | atoms i and j |
    | `edges` | the edge's row in a table of features, which edges may share |
    | `weights` | w, the number of edges that send this message |
    """

    centers: Int[Tensor, " messages"]
    neighbors: Int[Tensor, " messages"]
    edges: Int[Tensor, " messages"]
    weights: Float[Tensor, " messages"]

    def blocks(self) -> list[slice]:
        """Messages that are computed at once."""
        size = BLOCK if self.centers.device.type == "cpu" else LARGE_BLOCK
        return [slice(start, start + size) for start in range(0, len(self.centers), size)]


def gathered(
    values: Float[Tensor, " size *row"], rows: Int[Tensor, " messages"]
) -> Float[Tensor, " messages *row"]:
    """`values[rows]`, with a backward that adds up in a fixed order."""
    return rows_of(values.flatten(1), rows).view(len(rows), *values.shape[1:])


def add_rows(
    target: Float[Tensor, " size *row"],
    rows: Int[Tensor, " messages"],
    values: Float[Tensor, " messages *row"],
) -> None:
    """target[row] += value, in a fixed order."""
    if target.device.type == "cpu":
        target.index_add_(0, rows, values)
        return
    _ordered_add(target, rows, values)


def _ordered_add(target: Tensor, rows: Tensor, values: Tensor) -> None:
    """For accelerators, where index_add_ is atomic and so in any order."""
    flat = values.reshape(len(values), -1)
    target += torch.ops.aten.embedding_dense_backward(flat, rows, len(target), -1, False).view_as(target)
