"""Image lists in the order of their keys: what flows back from a query atom arrives at its keys.

A list is sorted by query atom i, which suits everything that atom i sums up. The gradients of the keys and
values of atom j are sums over all images of which j is the key; in this order they are a range, too, and
can be added up one after the other, without atomic additions.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class ImagesByKey(NamedTuple):
    """The order of the images by key j, and within a key by their place in the list.

    | field | shape | meaning |
    |---|---|---|
    | `query` | (images,) int64 | atom i of each image, in the order of the list |
    | `order` | (images,) int64 | rows of the list in the order of their keys |
    | `offsets` | (atoms + 1,) int64 | rows order[offsets[j]] to order[offsets[j + 1] - 1] have key j |
    """

    query: Tensor
    order: Tensor
    offsets: Tensor


def sort_by_key(key: Tensor, offsets: Tensor) -> ImagesByKey:
    """The order of a list with keys (images,) and `offsets` (atoms + 1,) of each query atom."""
    atoms = torch.arange(len(offsets), device=key.device)
    query = torch.repeat_interleave(atoms[:-1], offsets.diff(), output_size=len(key))
    keys, order = key.sort(stable=True)
    return ImagesByKey(query, order, torch.searchsorted(keys, atoms))
