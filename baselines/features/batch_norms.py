"""Batch normalisation of rows, some of which stand for several equal ones."""

import torch.nn.functional as F
from torch import Tensor, nn


def normalized(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """`norm(x)` for (rows, width), with the running statistics for a single row, which has no variance."""
    if norm.training and len(x) == 1:
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    return norm(x)
