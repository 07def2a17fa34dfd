"""Image lists in the order of their keys: what flows back from a query atom arrives at its keys.

A list is sorted by query atom i, which suits everything that atom i sums up. The gradients of the keys and
values of atom j are sums over all images of which j is the key; in this order they are a range, too, and
can be added up one after the other, without atomic additions.
"""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor


class ImagesByKey(NamedTuple):
    """The order of the images by key j, and within a key by their place in the list.

    | field | meaning |
    |---|---|
    | `query` | atom i of each image, in the order of the list |
    | `order` | rows of the list in the order of their keys |
    | `offsets` | rows order[offsets[j]] to order[offsets[j + 1] - 1] have key j |
    """

    query: Int[Tensor, " images"]
    order: Int[Tensor, " images"]
    offsets: Int[Tensor, " atoms+1"]


def sort_by_key(key: Int[Tensor, " images"], offsets: Int[Tensor, " ends"]) -> ImagesByKey:
    """The order of a list with the key of each image; `offsets` has those of each query atom."""
    atoms = torch.arange(len(offsets), device=key.device)
    query = torch.repeat_interleave(atoms[:-1], offsets.diff(), output_size=len(key))
    keys, order = key.sort(stable=True)
    return ImagesByKey(query, order, torch.searchsorted(keys, atoms))
