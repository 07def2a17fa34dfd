"""Rows that occur several times, so that what depends on them alone is computed once.

The symmetry of a crystal gives many of its edges the same length and the same angles.
"""

from typing import NamedTuple

import torch
from jaxtyping import Int, Real
from torch import Tensor


class Distinct(NamedTuple):
    """The distinct ones among some rows, in ascending order of the first column, then the second and so on.

    Attributes:
        first: a row that has the values of each distinct one.
        of: the distinct one whose values each row has.
        counts: how many rows have the values of each.
    """

    first: Int[Tensor, " distinct"]
    of: Int[Tensor, " rows"]
    counts: Int[Tensor, " distinct"]


def distinct(*columns: Real[Tensor, " rows"]) -> Distinct:
    """Rows are equal where all `columns` are equal; floating point or int64 from 0 on."""
    key = _whole(columns[0])
    for column in columns[1:]:
        column = _whole(column)
        key = key * (column.max() + 1) + column if len(key) else key
    _, of, counts = torch.unique(key, return_inverse=True, return_counts=True)
    first = torch.empty_like(counts)
    first[of] = torch.arange(len(of), device=of.device)  # whichever is written last has the same values
    return Distinct(first, of, counts)


def _whole(column: Tensor) -> Tensor:
    return torch.unique(column, return_inverse=True)[1] if column.is_floating_point() else column
