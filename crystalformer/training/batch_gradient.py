"""The gradient of the mean loss over a batch: of the batch at once, in parts, or shared out among processes.

Parts are weighted by their crystals, so that the sum is the gradient of the whole but for rounding. A model
with batch normalisation is the exception: each part is normalised by its own mean and variance, and running
statistics are updated once a part (over processes, their weighted mean is kept).
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Int
from torch import Tensor, nn

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.parts import balanced_parts
from crystalformer.training.passes import Passes
from crystalformer.training.ranks import Ranks


class BatchGradient:
    """Puts gradients into a model's parameters.

    Args:
        model: on its device.
        make_batch: store rows -> batch.
        sizes: atoms per cell of the crystals of the store.
        loss: mean over the crystals it is given.
        device: of the model.
        passes: how many crystals go through the model at once.
        ranks: the processes that share the batch, None: this one alone.
    """

    def __init__(
        self,
        model: nn.Module,
        make_batch: Callable[[np.ndarray], CrystalBatch],
        sizes: Int[np.ndarray, " crystals"],
        loss: Callable[[Tensor, Tensor], Tensor],
        device: str,
        passes: Passes,
        ranks: Ranks | None = None,
    ) -> None:
        self._model, self._make_batch, self._sizes = model, make_batch, sizes
        self._loss, self._device, self._passes, self._ranks = loss, device, passes, ranks

    def __call__(self, rows: Int[np.ndarray, " batch"]) -> tuple[float, float]:
        """Mean loss and mean absolute error over these store rows, in scaled units.

        Raises:
            RankFailed, LostRank: another process failed, or is gone.
        """
        if self._ranks is None:
            return self._of_own(rows, len(rows))
        own = rows[balanced_parts(self._sizes[rows], self._ranks.size)[self._ranks.rank]]
        with self._ranks.together() as told:
            told.sums = self._of_own(own, len(rows))
        return self._ranks.add_up_step(self._model, len(own) / len(rows), told)

    def _of_own(self, rows: np.ndarray, total: int) -> tuple[float, float]:
        """What these rows, of `total` in the batch, add to its gradient, loss and error."""
        return self._passes.attempt(lambda: self._in_parts(rows, total), len(rows))

    def _in_parts(self, rows: np.ndarray, total: int) -> tuple[float, float]:
        self._model.zero_grad(set_to_none=True)
        loss_sum = error_sum = 0.0
        for part in self._passes.parts(rows):
            weight = len(part) / total
            batch = self._make_batch(part).to(self._device)
            prediction = self._model(batch)
            loss = self._loss(prediction, batch.targets)
            (loss if weight == 1 else loss * weight).backward()
            loss_sum += loss.item() * weight
            error_sum += (prediction.detach() - batch.targets).abs().mean().item() * weight
        return loss_sum, error_sum


def clipped_norm(model: nn.Module, bound: float) -> float:
    """Clip the gradients to a norm (0: no bound); the norm before."""
    return nn.utils.clip_grad_norm_(model.parameters(), bound or math.inf).item()
