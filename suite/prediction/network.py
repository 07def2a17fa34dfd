"""`Networks`: the networks of some targets, which read the same batches, and what they answer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

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
    """All seeds of all targets whose networks read the same batches: graphs are built once for them.

    Raises:
        UnusableModel: the model is not in the registry, or settings or weights do not fit it.
    """

    def __init__(self, targets: Sequence[TrainedTarget]) -> None:
        first = targets[0].saved
        entry = MODELS.get(first.model)
        if entry is None:
            raise UnusableModel(f"model: expected one of {', '.join(MODELS)}, got {first.model!r}")
        self._entry = entry
        self.targets = [trained.saved for trained in targets]
        configs = [self._settings(target) for target in self.targets]
        self._config = configs[0]
        networks = [
            self._network(config, weights)
            for config, trained in zip(configs, targets, strict=True)
            for weights in trained.weights
        ]
        self._predict = entry.together(networks)

    def _settings(self, target: SavedTarget) -> Any:
        try:
            return self._entry.config(**target.config)
        except (TypeError, ValueError) as error:
            raise UnusableModel(f"{self._entry.key}: expected settings of this model, got {error}") from None

    def _network(self, config: Any, weights: Weights) -> nn.Module:
        network = self._entry.build(config)
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
        values = [np.full((len(target.seeds), len(crystals)), np.nan) for target in self.targets]
        rows = [row for row in range(len(crystals)) if row not in batches.failures]
        with torch.inference_mode(), _threads_for(int(store.sizes.sum())):
            for indices in evaluation_batches(rows, BATCH, store.sizes) if rows else ():
                outputs = iter(self._predict(batches(indices)).double().numpy())
                for target, results in zip(self.targets, values, strict=True):
                    for seed in range(len(target.seeds)):
                        results[seed, indices] = target.scaler.unscale(next(outputs))[:, 0]
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
    """The targets' networks, those that read the same batches together."""
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
    if one.model != other.model or one.model not in MODELS:
        return False
    entry = MODELS[one.model]
    try:
        return entry.alike(entry.config(**one.config), entry.config(**other.config))
    except (TypeError, ValueError):  # told when it is built
        return False
