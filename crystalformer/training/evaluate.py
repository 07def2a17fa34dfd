"""Predictions of a model in the target's unit, with the crystals they belong to."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from crystalformer.data.batch import CrystalBatch
from crystalformer.data.targets import TargetScaler


def predict(
    model: nn.Module,
    make_batch: Callable[[np.ndarray], CrystalBatch],
    batches: Sequence[Int[np.ndarray, " _"]],
    scaler: TargetScaler,
    device: torch.device | str = "cpu",
) -> tuple[Int[np.ndarray, " crystals"], Float[np.ndarray, "crystals targets"]]:
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
