"""Batch norm of rows that are atoms, of which a batch may have a single one."""

import torch.nn.functional as F
from torch import Tensor, nn


class AtomNorm(nn.BatchNorm1d):
    """`BatchNorm1d` of (atoms, width) that takes a batch of one atom in training.

    A single row has no variance, and PyTorch stops there. Here it is normalised by the running statistics,
    which it leaves as they are.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(atoms, width) -> (atoms, width)."""
        if self.training and len(input) == 1:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)
