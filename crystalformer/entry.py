"""`ModelEntry`: what the suite has to know of a model to search, train, compare and report it."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatch, CrystalBatches
from crystalformer.training.config import TrainConfig


def needs_no_calibration(model: nn.Module, batch: CrystalBatch) -> None:
    """Most models take nothing from their first batch."""


def one_after_the_other(networks: Sequence[nn.Module]) -> Callable[[CrystalBatch], Tensor]:
    """Most models have no faster way to predict a batch by several networks."""
    return lambda batch: torch.stack([network(batch)[: batch.real] for network in networks])


@dataclass(frozen=True)
class Variant:
    """Another configuration of a model that was published beside the default one.

    Attributes:
        settings: fields of the configuration -> their values in place of the defaults.
        published_parameters: as in `ModelEntry`.
    """

    settings: Mapping[str, bool | int | float | str]
    published_parameters: int


@dataclass(frozen=True)
class ModelEntry:
    """One model of the benchmark.

    Attributes:
        key: the name used in search spaces and tables.
        label: the name shown to readers.
        paper: where the model was published.
        config: frozen dataclass whose defaults are the published configuration.
        build: configuration -> module; `forward(batch)` gives (crystals, targets) in scaled units.
        batches: (store, scaled targets, configuration, cache folder) -> what cuts the batches; without a
            cache folder (None) graphs are kept in memory.
        graph: the graph that the published configuration needs, for readers.
        published_parameters: trainable parameters of the published configuration, without those that its
            code creates and never uses.
        published_recipe: the training settings of the paper or its released code.
        calibrate: sets statistics that the model takes from its first training batch, before training.
        facts: what a run's record says of a configuration beside the configuration itself.
        alike: whether networks of two configurations read the same batches, so that they can be `together`.
        together: trained networks -> what predicts a batch by all, (networks, crystals, targets).
        variants: other published configurations by their names, which readers see.
    """

    key: str
    label: str
    paper: str
    config: type
    build: Callable[[Any], nn.Module]
    batches: Callable[[ArrayStore, np.ndarray, Any, Path | None], CrystalBatches]
    graph: str
    published_parameters: int
    published_recipe: TrainConfig
    calibrate: Callable[[Any, CrystalBatch], None] = needs_no_calibration
    facts: Callable[[Any], dict[str, float | None]] = lambda config: {}
    alike: Callable[[Any, Any], bool] = operator.eq
    together: Callable[[Sequence[Any]], Callable[[CrystalBatch], Tensor]] = one_after_the_other
    variants: Mapping[str, Variant] = field(default_factory=dict)
