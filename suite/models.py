"""`MODELS`: the one registry. A model is a row: its configuration, how to build it, what its batches are."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from baselines.cgcnn import CGCNN, CGCNNConfig
from baselines.graph_batch import KNearestBatches
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatch, CrystalBatches
from crystalformer.data.image_batch import ImageBatches
from crystalformer.model.config import CrystalformerConfig, CrystalFramerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.training.config import TrainConfig

BatchMaker = Callable[[np.ndarray], CrystalBatch]


@dataclass(frozen=True)
class ModelEntry:
    """One model of the benchmark.

    Attributes:
        key: the name used in search spaces and tables.
        label: the name shown to readers.
        paper: where the model was published.
        config: frozen dataclass whose defaults are the published configuration.
        build: configuration -> module; `forward(batch)` gives (crystals, targets) in scaled units.
        batches: (store, scaled targets, configuration, cache folder) -> store rows -> batch.
        calibrate: sets statistics that the model takes from its first training batch, before training.
        facts: what a run's record says of a configuration beside the configuration itself.
        published_recipe: the training settings of the paper or its released code.
    """

    key: str
    label: str
    paper: str
    config: type
    build: Callable[[Any], nn.Module]
    batches: Callable[[ArrayStore, np.ndarray, Any, Path], BatchMaker]
    calibrate: Callable[[Any, CrystalBatch], None]
    published_recipe: TrainConfig
    facts: Callable[[Any], dict[str, float | None]] = lambda config: {}


def parameter_count(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _crystal_batches(store: ArrayStore, scaled_targets: np.ndarray, config: Any, cache: Path) -> BatchMaker:
    if config.images_radius is None or config.frames != "none":  # listed batch by batch
        return CrystalBatches(store, scaled_targets, mixed_sites=True)
    return ImageBatches(store, scaled_targets, cache, config.images_radius, mixed_sites=True)


def _truncation(config: Any) -> dict[str, float | None]:
    """The radius in Å of the lattice sum and the bound on what it leaves out, None where no bound holds."""
    if config.images_radius is None:  # a box
        return {}
    bound = config.truncation_bound
    return {"images_radius": config.images_radius, "truncation_bound": bound if bound < math.inf else None}


def _k_nearest_batches(store: ArrayStore, scaled_targets: np.ndarray, config: Any, cache: Path) -> BatchMaker:
    return KNearestBatches(store, scaled_targets, cache, neighbours=config.neighbours, radius=config.radius)


def _needs_no_calibration(model: nn.Module, batch: CrystalBatch) -> None:
    """Most models take nothing from their first batch."""


MODELS: dict[str, ModelEntry] = {
    "crystalformer": ModelEntry(
        key="crystalformer",
        label="Crystalformer",
        paper="Taniai et al., ICLR 2024",
        config=CrystalformerConfig,
        build=Crystalformer,
        batches=_crystal_batches,
        calibrate=Crystalformer.calibrate,
        published_recipe=TrainConfig(epochs=500, batch_size=128, swa_epochs=50),
        facts=_truncation,
    ),
    "crystalframer": ModelEntry(
        key="crystalframer",
        label="CrystalFramer",
        paper="Ito, Taniai et al., ICLR 2025",
        config=CrystalFramerConfig,
        build=Crystalformer,
        batches=_crystal_batches,
        calibrate=Crystalformer.calibrate,
        published_recipe=TrainConfig(epochs=800, batch_size=128, swa_epochs=50),
        facts=_truncation,
    ),
    "cgcnn": ModelEntry(
        key="cgcnn",
        label="CGCNN",
        paper="Xie & Grossman, PRL 2018",
        config=CGCNNConfig,
        build=CGCNN,
        batches=_k_nearest_batches,
        calibrate=_needs_no_calibration,
        published_recipe=TrainConfig(
            epochs=30,
            batch_size=256,
            lr=0.01,
            loss="mse",
            optimizer="sgd",
            beta1=0.9,
            weight_decay=0.0,
            schedule="constant",
            clip_norm=0.0,
            swa_epochs=0,
        ),
    ),
}
