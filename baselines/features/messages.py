"""Messages along the edges of a batch, some of which stand for several equal ones, computed in blocks.

A batch of 64 crystals has tens of thousands of messages with hundreds of entries: 50 to 130 MB for each of a
dozen intermediate values, which a processor spends its time on moving. In blocks that fit into its cache all
of them are computed for some messages before the next are begun.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from baselines.features.edge_linear import rows_of

BLOCK = 512  # messages at once on a CPU
LARGE_BLOCK = 32768  # elsewhere, where it is the memory that is to be bounded


class Messages(NamedTuple):
    """Who sends to whom, sorted by i.

    | field | shape | meaning |
    |---|---|---|
    | `centers`, `neighbors` | (messages,) int64 | atoms i and j |
    | `edges` | (messages,) int64 | the edge's row in a table of features, which edges may share |
    | `weights` | (messages,) floating | w, the number of edges that send this message |
    """

    centers: Tensor
    neighbors: Tensor
    edges: Tensor
    weights: Tensor

    def blocks(self) -> list[slice]:
        """Messages that are computed at once."""
        size = BLOCK if self.centers.device.type == "cpu" else LARGE_BLOCK
        return [slice(start, start + size) for start in range(0, len(self.centers), size)]


def gathered(values: Tensor, rows: Tensor) -> Tensor:
    """`values[rows]` for values (size, ...) and rows (messages,)."""
    return rows_of(values.flatten(1), rows).view(len(rows), *values.shape[1:])


def add_rows(target: Tensor, rows: Tensor, values: Tensor) -> None:
    """target[row] += value for (size, ...), (messages,) and (messages, ...), in a fixed order."""
    if target.device.type == "cpu":
        target.index_add_(0, rows, values)
        return
    _ordered_add(target, rows, values)


def _ordered_add(target: Tensor, rows: Tensor, values: Tensor) -> None:
    """For accelerators, where index_add_ is atomic and so in any order."""
    flat = values.reshape(len(values), -1)
    target += torch.ops.aten.embedding_dense_backward(flat, rows, len(target), -1, False).view_as(target)
