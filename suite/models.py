"""`MODELS`: the one registry. A baseline brings its own entry; here it is a line."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from baselines import cgcnn, ecomformer, icomformer
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatches
from crystalformer.data.image_batch import ImageBatches
from crystalformer.entry import ModelEntry
from crystalformer.model.config import CrystalformerConfig, CrystalFramerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.training.config import TrainConfig


def parameter_count(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _batches(store: ArrayStore, scaled_targets: np.ndarray, config: Any, cache: Path) -> CrystalBatches:
    if config.images_radius is None or config.frames != "none":  # listed batch by batch
        return CrystalBatches(store, scaled_targets)
    return ImageBatches(store, scaled_targets, cache, config.images_radius)


CRYSTALFORMER = ModelEntry(
    key="crystalformer",
    label="Crystalformer",
    paper="Taniai et al., ICLR 2024",
    config=CrystalformerConfig,
    build=Crystalformer,
    batches=_batches,
    graph="none: attention to all periodic images",
    published_parameters=853_505,
    published_recipe=TrainConfig(epochs=500, batch_size=128, swa_epochs=50),
    calibrate=Crystalformer.calibrate,
)
CRYSTALFRAMER = ModelEntry(
    key="crystalframer",
    label="CrystalFramer",
    paper="Ito, Taniai et al., ICLR 2025",
    config=CrystalFramerConfig,
    build=Crystalformer,
    batches=_batches,
    graph="none: attention to all periodic images",
    published_parameters=951_809,
    published_recipe=TrainConfig(epochs=800, batch_size=128, swa_epochs=50),
    calibrate=Crystalformer.calibrate,
)

MODELS: dict[str, ModelEntry] = {
    entry.key: entry
    for entry in (
        CRYSTALFORMER,
        CRYSTALFRAMER,
        cgcnn.ENTRY,
        icomformer.ENTRY,
        ecomformer.ENTRY,
    )
}
