"""Batch norm of rows that stand for several equal ones."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Real
from torch import Tensor, nn


class CountedNorm(nn.BatchNorm1d):
    """`BatchNorm1d` of rows, each of which may occur several times; the same function as on all of them.

    A batch of a single row has no variance, and PyTorch stops there. Here it is normalised by the running
    statistics, which it leaves as they are.
    """

    running_mean: Float[Tensor, " width"]
    running_var: Float[Tensor, " width"]
    num_batches_tracked: Int[Tensor, ""]

    def forward(
        self, input: Float[Tensor, "rows width"], counts: Real[Tensor, " rows"] | None = None
    ) -> Float[Tensor, "rows width"]:
        """The rows, normalised; `counts` says how often each occurs (None: once)."""
        if self.training and counts is not None and int(counts.sum()) > 1:
            return self._normalized(input, counts.to(input.dtype))
        if self.training and counts is None and len(input) > 1:
            return super().forward(input)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)

    def statistics(
        self, input: Float[Tensor, "rows width"], counts: Float[Tensor, " rows"]
    ) -> tuple[Float[Tensor, " width"], Float[Tensor, " width"]]:
        """Mean and variance over all occurrences; the running statistics follow them."""
        total = counts.sum()
        mean = counts @ input / total
        variance = counts @ (input - mean).square() / total
        self.update(mean, variance, total)
        return mean, variance

    def _normalized(self, input: Tensor, counts: Tensor) -> Tensor:
        mean, variance = self.statistics(input, counts)
        return torch.addcmul(self.bias, input - mean, self.weight * torch.rsqrt(variance + self.eps))

    @torch.no_grad()
    def update(
        self,
        mean: Float[Tensor, " width"],
        variance: Float[Tensor, " width"],
        total: float | Real[Tensor, ""],
    ) -> None:
        """Moves the running statistics towards the mean and the variance (divided by `total`) of all rows.

        As in PyTorch, without a momentum all batches count the same.
        """
        self.num_batches_tracked.add_(1)
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (total / (total - 1)), share)
