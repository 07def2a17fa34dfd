"""Equal rows found once: edges that send the same message, distances with the same features."""

from typing import NamedTuple

import torch
from torch import Tensor


class Distinct(NamedTuple):
    """Groups of equal entries, in ascending order of their keys."""

    first: Tensor  # (groups,) int64, the first entry of each group
    group: Tensor  # (entries,) int64, the group of each entry
    counts: Tensor  # (groups,) int64, entries of each group


def distinct(*keys: Tensor) -> Distinct:
    """The entries with the same value in every key, as one group each.

    Of two images at the same distance a model that sees distances only gets the same message; a shell of a
    symmetric crystal has many. Values are compared as they are, without a tolerance.

    Args:
        keys: each (entries,), at least one; groups are sorted by the first, then by the second, ...
    """
    order = torch.argsort(keys[-1], stable=True)
    for key in reversed(keys[:-1]):
        order = order[torch.argsort(key[order], stable=True)]
    new = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    new[:1] = True
    for key in keys:
        ordered = key[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    places = new.cumsum(0) - 1
    group = torch.empty_like(order)
    group[order] = places
    starts = torch.nonzero(new).squeeze(1)
    ends = torch.cat([starts[1:], starts.new_tensor([len(order)])])[: len(starts)]
    return Distinct(order[starts], group, ends - starts)
