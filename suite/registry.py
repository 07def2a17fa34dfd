"""`MODELS`: the one registry. A baseline brings its own entry; here it is a line.

`python -m suite.models` prints it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from baselines import (
    alignn,
    cgcnn,
    ecomformer,
    gatgnn,
    icomformer,
    m3gnet,
    matformer,
    megnet,
    potnet,
    schnet,
)
from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatch, CrystalBatches
from crystalformer.data.elements import unknown_elements
from crystalformer.data.image_batch import ImageBatches
from crystalformer.entry import ModelEntry, Variant, one_after_the_other
from crystalformer.model.config import CrystalformerConfig, CrystalFramerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.model.stacked import alike, stacked
from crystalformer.training.config import TrainConfig


def _batches(
    store: ArrayStore, scaled_targets: np.ndarray, config: Any, cache: Path | None
) -> CrystalBatches:
    batches = (
        # a box of images is counted from inside the cell
        CrystalBatches(store, scaled_targets, mixed_sites=True, wrapped=True)
        if config.images_radius is None or config.frames != "none"  # listed batch by batch
        else ImageBatches(store, scaled_targets, cache, config.images_radius, mixed_sites=True)
    )
    for row, reason in unknown_elements(store, config.elements).items():
        batches.failures[row] = f"{reason}; the setting `elements` can be raised to 118"
    return batches


def _truncation(config: Any) -> dict[str, float | None]:
    """The radius in Å of the lattice sum and the bound on what it leaves out, None where no bound holds."""
    if config.images_radius is None:  # a box
        return {}
    bound = config.truncation_bound
    return {"images_radius": config.images_radius, "truncation_bound": bound if bound < math.inf else None}


def _together(networks: Sequence[Crystalformer]) -> Callable[[CrystalBatch], Tensor]:
    return stacked(networks) or one_after_the_other(networks)


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
    alike=alike,
    together=_together,
    facts=_truncation,
    variants={"7 blocks": Variant({"num_layers": 7}, 1_471_745)},
)
CRYSTALFRAMER = replace(  # the same network, with frames
    CRYSTALFORMER,
    key="crystalframer",
    label="CrystalFramer",
    paper="Ito, Taniai et al., ICLR 2025",
    config=CrystalFramerConfig,
    published_parameters=951_809,
    published_recipe=TrainConfig(epochs=800, batch_size=128, swa_epochs=50),
    variants={
        "lightweight": Variant(
            {"angle_basis": 16, "angle_width": 1.0, "c_dist": 1.5, "c_angle": 6.0}, 878_081
        ),
    },
)

MODELS: dict[str, ModelEntry] = {
    entry.key: entry
    for entry in (
        CRYSTALFORMER,
        CRYSTALFRAMER,
        cgcnn.ENTRY,
        schnet.ENTRY,
        megnet.ENTRY,
        gatgnn.ENTRY,
        m3gnet.ENTRY,
        alignn.ENTRY,
        matformer.ENTRY,
        potnet.ENTRY,
        icomformer.ENTRY,
        ecomformer.ENTRY,
    )
}
