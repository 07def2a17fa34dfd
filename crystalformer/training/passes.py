"""How many crystals go through a model at once, and what is done when memory is short."""

import logging
import math
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Int

from crystalformer.data.parts import balanced_parts
from crystalformer.training.memory import give_back, out_of_memory

log = logging.getLogger(__name__)
T = TypeVar("T")


class Passes:
    """The bound of a model's passes, in training and prediction.

    Args:
        micro_batch: crystals of one pass at most; "auto": all, and half as many whenever memory is short;
            None: all.
        sizes: atoms per cell of the crystals of the store.
        device: of the model.

    Attributes:
        most: crystals of one pass at most, None: no bound (yet).
    """

    def __init__(
        self,
        micro_batch: int | Literal["auto"] | None,
        sizes: Int[np.ndarray, " crystals"],
        device: str,
    ) -> None:
        self._shrinks, self._sizes, self._device = micro_batch == "auto", sizes, device
        self.most = micro_batch if isinstance(micro_batch, int) else None

    def parts(self, rows: Int[np.ndarray, " batch"]) -> list[Int[np.ndarray, " _"]]:
        """These store rows, pass by pass."""
        if not len(rows):
            return []
        if self.most is None or len(rows) <= self.most:
            return [rows]
        parts = balanced_parts(self._sizes[rows], math.ceil(len(rows) / self.most), self.most)
        return [rows[part] for part in parts]

    def attempt(self, work: Callable[[], T], crystals: int) -> T:
        """`work()`, whose largest pass has so many crystals; if memory was short, again with a smaller
        `most` where that may change.
        """
        while True:
            try:
                return work()
            except Exception as error:
                if not self._shrink(error, crystals):
                    raise
            give_back(self._device)  # here, where the failed attempt's tensors are gone with its error

    def _shrink(self, error: Exception, crystals: int) -> bool:
        crystals = min(crystals, self.most or crystals)
        if not self._shrinks or not out_of_memory(error) or crystals <= 1:
            return False
        self.most = math.ceil(crystals / 2)
        log.warning("memory was short: at most %d crystals in a pass from now on (%s)", self.most, error)
        return True
