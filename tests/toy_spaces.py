"""A toy model and a rival, and small search spaces over them, right and wrong."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crystalformer.entry import ModelEntry
from crystalformer.training.config import TrainConfig
from suite.space.search_space import SearchSpace, SpaceError, load_space


@dataclass(frozen=True)
class ToyConfig:
    depth: int = 4
    width: int = 96
    heads: int = 8
    reach: int | str = "adaptive"
    scale: float = 1.4
    residual: bool = True
    targets: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 16:
            raise ValueError(f"depth: expected 1 to 16 blocks, got {self.depth!r}")
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of the width {self.width}, got {self.heads}")
        if self.depth == 1 and self.scale >= 2.8:
            raise ValueError(f"scale: expected less than 2.8 for one block, got {self.scale}")


def entry(key: str, recipe: TrainConfig) -> ModelEntry:
    def not_here(*_: Any) -> Any:
        raise AssertionError("reading a search space builds nothing")

    return ModelEntry(key, key.upper(), "", ToyConfig, not_here, not_here, "none", 0, recipe)


MODELS = {
    "toy": entry("toy", TrainConfig(epochs=500, swa_epochs=50)),
    "rival": entry("rival", TrainConfig(epochs=30, lr=0.01, loss="mse", batch_size=256, swa_epochs=None)),
}

MINIMAL = """
name: small
data: {dataset: mp-elastic-2015, target: log10_K_VRH}
budget: {trials: 4, epochs: 20}
models: {toy: {}}
"""


def load(tmp_path: Path, text: str = MINIMAL, *overrides: str) -> SearchSpace:
    path = tmp_path / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return load_space(path, overrides, MODELS)


LINES = {
    "name": "name: small",
    "data": "data: {dataset: mp-elastic-2015, target: log10_K_VRH}",
    "budget": "budget: {trials: 4, epochs: 20}",
    "search": "search: {sampler: tpe}",
    "resources": "resources: {cpu: 1}",
    "train": "train: {batch_size: 64}",
    "models": "models: {crystalformer: {num_layers: 2}, cgcnn: {}}",
    "final": "final: {top: 1}",
}


def complaint(path: Path, *overrides: str, **lines: str | None) -> str:
    """What is said about the right file with some lines replaced, or left out if None."""
    content = {key: line for key, line in {**LINES, **lines}.items() if line is not None}
    path.write_text("\n".join(content.values()) + "\n", encoding="utf-8")
    with pytest.raises(SpaceError) as error:
        load_space(path, overrides)
    assert "\n" not in str(error.value)
    return str(error.value)
