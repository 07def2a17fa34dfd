"""Predictions of a model in the target's unit, with the crystals they belong to: once, or during training."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.loader import evaluation_batches
from crystalformer.data.targets import TargetScaler
from crystalformer.training.passes import Passes
from crystalformer.training.ranks import Ranks

Rows = Int[np.ndarray, " crystals"]
Predictions = Float[np.ndarray, "crystals targets"]


def predict(
    model: nn.Module,
    make_batch: Callable[[np.ndarray], CrystalBatch],
    batches: Sequence[Int[np.ndarray, " _"]],
    scaler: TargetScaler,
    device: torch.device | str = "cpu",
) -> tuple[Rows, Predictions]:
    """Store rows and predictions in physical units.

    The rows come in the order of `batches`; the model is left in the mode it was in.
    """
    training = model.training
    model.eval()
    rows, outputs = [], []
    with torch.inference_mode():
        for indices in batches:
            batch = make_batch(indices).to(device)
            outputs.append(model(batch)[: batch.real])
            rows.append(indices)
    model.train(training)
    return np.concatenate(rows), scaler.unscale(torch.cat(outputs).double().cpu().numpy())


class Evaluation:
    """Predicts the same crystals after each epoch: whole, in smaller batches, or shared out among processes.

    Args:
        rows: of the store.
        sizes: atoms per cell of the crystals of the store.
        scaler: of the targets.
        batch_size: crystals of one pass, at most.
        passes: the bound of passes where memory is short.
        device: of the model.
        ranks: the processes that share the crystals, None: this one alone.
    """

    def __init__(
        self,
        rows: Rows,
        sizes: Int[np.ndarray, " stored"],
        scaler: TargetScaler,
        batch_size: int,
        passes: Passes,
        device: str,
        ranks: Ranks | None = None,
    ) -> None:
        self._batches = evaluation_batches(rows, batch_size, sizes)
        self._sizes, self._scaler, self._passes, self._device = sizes, scaler, passes, device
        self._ranks = ranks

    def __call__(
        self, model: nn.Module, make_batch: Callable[[np.ndarray], CrystalBatch]
    ) -> tuple[Rows, Predictions]:
        """Store rows and predictions, of all crystals in each process.

        Raises:
            RankFailed, LostRank: another process failed, or is gone.
        """
        if self._ranks is None:
            return self._predict(model, make_batch, self._batches)
        rows = np.concatenate(self._batches)
        places = {row: place for place, row in enumerate(rows.tolist())}
        own, values = np.empty(0, dtype=np.int64), np.empty((0, 1))
        with self._ranks.together() as told:
            if dealt := self._batches[self._ranks.rank :: self._ranks.size]:
                own, values = self._predict(model, make_batch, dealt)
        shape = (len(rows), len(self._scaler.means))
        return rows, self._ranks.add_up_rows([places[row] for row in own.tolist()], values, shape, told)

    def _predict(
        self, model: nn.Module, make_batch: Callable[[np.ndarray], CrystalBatch], batches: list[np.ndarray]
    ) -> tuple[Rows, Predictions]:
        largest = max(map(len, batches))

        def attempt() -> tuple[Rows, Predictions]:
            most, fitting = self._passes.most, batches
            if most is not None and most < largest:
                fitting = evaluation_batches(np.concatenate(batches), most, self._sizes)
            return predict(model, make_batch, fitting, self._scaler, self._device)

        return self._passes.attempt(attempt, largest)
