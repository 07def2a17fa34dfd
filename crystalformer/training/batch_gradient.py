"""The gradient of the mean loss over a batch: of the batch at once, in parts, or shared out among processes.

Parts are weighted by their crystals, so that the sum is the gradient of the whole but for rounding. A model
with batch normalisation is the exception: each part is normalised by its own mean and variance, and running
statistics are updated once a part (over processes, their weighted mean is kept).
"""

import logging
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Int
from torch import Tensor, nn

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.parts import balanced_parts
from crystalformer.training.memory import give_back, out_of_memory
from crystalformer.training.ranks import Ranks

log = logging.getLogger(__name__)


class BatchGradient:
    """Puts gradients into a model's parameters.

    Args:
        model: on its device.
        make_batch: store rows -> batch.
        sizes: atoms per cell of the crystals of the store.
        loss: mean over the crystals it is given.
        device: of the model.
        micro_batch: crystals of one pass at most; "auto": all, and half as many whenever memory is short.
        ranks: the processes that share the batch, None: this one alone.

    Attributes:
        most: crystals of one pass at most, None: no bound (yet).
    """

    def __init__(
        self,
        model: nn.Module,
        make_batch: Callable[[np.ndarray], CrystalBatch],
        sizes: Int[np.ndarray, " crystals"],
        loss: Callable[[Tensor, Tensor], Tensor],
        device: str,
        micro_batch: int | Literal["auto"] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self._model, self._make_batch, self._sizes = model, make_batch, sizes
        self._loss, self._device, self._ranks = loss, device, ranks
        self.shrinks = micro_batch == "auto"
        self.most = micro_batch if isinstance(micro_batch, int) else None

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

    def shrink(self, error: Exception, crystals: int) -> bool:
        """After `error` with so many crystals in a pass: whether fewer are worth a try; then `most` says how
        many.
        """
        if not self.shrinks or not out_of_memory(error) or min(crystals, self.most or crystals) <= 1:
            return False
        self.most = math.ceil(min(crystals, self.most or crystals) / 2)
        log.warning("memory was short: at most %d crystals in a pass from now on (%s)", self.most, error)
        return True

    def _of_own(self, rows: np.ndarray, total: int) -> tuple[float, float]:
        """What these rows, of `total` in the batch, add to its gradient, loss and error."""
        while True:
            try:
                return self._in_parts(rows, total)
            except Exception as error:
                if not self.shrink(error, len(rows)):
                    raise
            give_back(self._device)  # here, where the failed attempt's tensors are gone with its error

    def _in_parts(self, rows: np.ndarray, total: int) -> tuple[float, float]:
        self._model.zero_grad(set_to_none=True)
        loss_sum = error_sum = 0.0
        for part in self._parts(rows):
            weight = len(part) / total
            batch = self._make_batch(part).to(self._device)
            prediction = self._model(batch)
            loss = self._loss(prediction, batch.targets)
            (loss if weight == 1 else loss * weight).backward()
            loss_sum += loss.item() * weight
            error_sum += (prediction.detach() - batch.targets).abs().mean().item() * weight
        return loss_sum, error_sum

    def _parts(self, rows: np.ndarray) -> list[np.ndarray]:
        if not len(rows):
            return []
        if self.most is None or len(rows) <= self.most:
            return [rows]
        parts = balanced_parts(self._sizes[rows], math.ceil(len(rows) / self.most), self.most)
        return [rows[part] for part in parts]


def clipped_norm(model: nn.Module, bound: float) -> float:
    """Clip the gradients to a norm (0: no bound); the norm before."""
    return nn.utils.clip_grad_norm_(model.parameters(), bound or math.inf).item()
