"""Running statistics of batch normalisation for weights that no step was taken with, as averaged ones are."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from crystalformer.data.batch import CrystalBatch
from crystalformer.training.passes import Passes
from crystalformer.training.ranks import Ranks

# What Wu and Johnson find to suffice (Rethinking "Batch" in BatchNorm, 2021, Sec. 3): 1,000 to 10,000.
ENOUGH = 10_000  # crystals


def estimate_statistics(
    model: nn.Module,
    batches: Sequence[Int[np.ndarray, " _"]],
    make_batch: Callable[[np.ndarray], CrystalBatch],
    passes: Passes,
    device: str,
    ranks: Ranks | None = None,
) -> None:
    """Replace running statistics by the mean over training batches of what each has with these weights.

    Neither the statistics of the weights that were averaged nor the mean of those are the average's: it has
    to see the crystals once more (Izmailov et al., UAI 2018, Sec. 3.2). Nothing is done for a model without
    batch normalisation.

    Args:
        model: on its device.
        batches: store rows of training batches; those beyond `ENOUGH` crystals are left out.
        make_batch: store rows -> batch.
        passes: how many crystals go through the model at once.
        device: of the model.
        ranks: the processes that share the batches, None: this one alone.

    Raises:
        RankFailed, LostRank: another process failed, or is gone.
    """
    if not any(isinstance(layer, _BatchNorm) for layer in model.modules()):
        return
    batches = batches[: max(1, ENOUGH // len(batches[0]))]
    own = batches if ranks is None else batches[ranks.rank :: ranks.size]

    def see_them() -> None:
        seen = (make_batch(part) for rows in own for part in passes.parts(rows))
        update_bn(seen, model, torch.device(device))

    if ranks is None:
        passes.attempt(see_them, len(batches[0]))
        return
    with ranks.together() as told:
        passes.attempt(see_them, len(batches[0]))
    ranks.average_statistics(model, len(own) / len(batches), told)
