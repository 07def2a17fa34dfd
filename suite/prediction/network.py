"""`Networks`: the networks of some targets, which read the same batches, and what they answer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from crystalformer.data.crystal import Crystal
from crystalformer.data.loader import evaluation_batches
from crystalformer.data.memory_store import MemoryStore
from suite.prediction.saved import SavedTarget, TrainedTarget, UnusableModel, Weights
from suite.registry import MODELS

BATCH = 64  # crystals; larger batches are hardly faster, and the graphs of one are built in a single task

FEW_ATOMS = 128


class Networks:
    """All seeds of all targets whose model has the same configuration: graphs are built once for them.

    Raises:
        UnusableModel: the model is not in the registry, or settings or weights do not fit it.
    """

    def __init__(self, targets: Sequence[TrainedTarget]) -> None:
        first = targets[0].saved
        entry = MODELS.get(first.model)
        if entry is None:
            raise UnusableModel(f"model: expected one of {', '.join(MODELS)}, got {first.model!r}")
        self._entry = entry
        try:
            self._config = entry.config(**first.config)
        except (TypeError, ValueError) as error:
            raise UnusableModel(f"{entry.key}: expected settings of this model, got {error}") from None
        self.targets = [trained.saved for trained in targets]
        self._seeds = [[self._network(weights) for weights in trained.weights] for trained in targets]

    def _network(self, weights: Weights) -> nn.Module:
        network = self._entry.build(self._config)
        try:
            network.load_state_dict(dict(weights))
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise UnusableModel(
                f"{self._entry.key}: expected weights of this model, got others ({reason})"
            ) from None
        return network.eval().requires_grad_(False)

    def predict(self, crystals: Sequence[Crystal]) -> tuple[list[np.ndarray], dict[int, str]]:
        """Predictions in the targets' units, (seeds, crystals) for each target, NaN where there is none.

        Also position -> reason of the crystals that the model cannot represent.

        Raises:
            ValueError, RuntimeError, MemoryError: a crystal is impossible for the model, or too large.
        """
        store = MemoryStore(crystals)
        batches = self._entry.batches(store, np.full((len(crystals), 1), np.nan), self._config, None)
        values = [np.full((len(seeds), len(crystals)), np.nan) for seeds in self._seeds]
        rows = [row for row in range(len(crystals)) if row not in batches.failures]
        with torch.inference_mode(), _threads_for(int(store.sizes.sum())):
            for indices in evaluation_batches(rows, BATCH, store.sizes) if rows else ():
                batch = batches(indices)
                for target, seeds, results in zip(self.targets, self._seeds, values, strict=True):
                    for seed, network in enumerate(seeds):
                        output = network(batch)[: batch.real].double().numpy()
                        results[seed, indices] = target.scaler.unscale(output)[:, 0]
        return values, batches.failures


@contextmanager
def _threads_for(atoms: int) -> Iterator[None]:
    """Few atoms are the work of one thread; more would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if atoms < FEW_ATOMS else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def grouped(targets: Sequence[TrainedTarget]) -> list[Networks]:
    """The targets' networks, those of equal configurations together."""
    groups: list[list[TrainedTarget]] = []
    for trained in targets:
        for group in groups:
            if _same_batches(group[0].saved, trained.saved):
                group.append(trained)
                break
        else:
            groups.append([trained])
    return [Networks(group) for group in groups]


def _same_batches(one: SavedTarget, other: SavedTarget) -> bool:
    return (one.model, one.config) == (other.model, other.config)
