"""A model on a device that has memory for few crystals at once."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from crystalformer.data.batch import CrystalBatch


def bounded_passes(model: nn.Module, holds: int) -> list[int]:
    """The sizes of the model's passes from now on; those of more than `holds` crystals lack memory."""
    forward: Callable[[CrystalBatch], Tensor] = model.forward
    sizes: list[int] = []

    def bounded(batch: CrystalBatch) -> Tensor:
        sizes.append(len(batch))
        if len(batch) > holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(batch)

    model.forward = bounded
    return sizes
