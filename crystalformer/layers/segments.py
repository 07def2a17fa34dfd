"""Sums and means over contiguous ranges of rows.

A batch stores its crystals atom by atom, so the atoms of one crystal are a range of rows, and a list of
range lengths says all. Every result is added up in a fixed order: the same input gives the same bits.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def segment_ids(sizes: Int[Tensor, " segments"], rows: int | None = None) -> Int[Tensor, " rows"]:
    """Segment each row belongs to: sizes [2, 3] give [0, 0, 1, 1, 1]; shape (sum of sizes,).

    `rows` is the sum of the sizes where it is known. Without it the host waits for the device to tell it.
    """
    return torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes, output_size=rows)


def segment_offsets(sizes: Int[Tensor, " segments"]) -> Int[Tensor, " segments+1"]:
    """First row of each segment and the end of the last: sizes [2, 3] give [0, 2, 5]."""
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def segment_sum(
    values: Float[Tensor, "rows ..."], sizes: Int[Tensor, " segments"]
) -> Float[Tensor, "segments ..."]:
    """Sum of the rows of each segment.

    Args:
        values: (rows, ...) floating point.
        sizes: (segments,) int64, rows of each segment; their sum is the number of rows. An empty
            segment sums to 0.

    Returns:
        (segments, ...)

    Raises:
        ValueError: the sizes do not add up to the number of rows.
    """
    return _sum(values, sizes, _checked_ids(values, sizes))


def _sum(values: Tensor, sizes: Tensor, ids: Tensor) -> Tensor:
    if values.device.type == "cpu":
        return values.new_zeros(len(sizes), *values.shape[1:]).index_add(0, ids, values)
    return _ordered_sum(values, sizes)


def _ordered_sum(values: Tensor, sizes: Tensor) -> Tensor:
    """For accelerators, where index_add is atomic and so not reproducible; slower than that on a CPU."""
    return torch.segment_reduce(values, "sum", lengths=sizes, axis=0, initial=0.0, unsafe=True)


def segment_mean(
    values: Float[Tensor, "rows ..."], sizes: Int[Tensor, " segments"], checked: bool = False
) -> Float[Tensor, "segments ..."]:
    """Mean of the rows of each segment; arguments and errors as for `segment_sum`. No segment may be empty.

    Sizes that are `checked` are taken as they are: the host need not wait for the device to tell them.

    Raises:
        ValueError: a segment is empty, or the sizes do not add up to the number of rows.
    """
    if not checked and bool((sizes < 1).any()):
        raise ValueError(f"sizes: expected at least 1 row in every segment, got {int(sizes.min())}")
    counts = sizes.reshape(-1, *[1] * (values.ndim - 1))
    ids = segment_ids(sizes, len(values)) if checked else _checked_ids(values, sizes)
    return _sum(values, sizes, ids) / counts


def _checked_ids(values: Tensor, sizes: Tensor) -> Tensor:
    ids = segment_ids(sizes)
    if len(ids) != len(values):
        raise ValueError(f"sizes: expected a sum of {len(values)}, the rows of values, got {len(ids)}")
    return ids
