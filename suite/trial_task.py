"""`TrialTask`: everything that a training run needs to know."""

from dataclasses import dataclass
from pathlib import Path

from suite.models import MODELS


@dataclass(frozen=True)
class TrialTask:
    """Everything a training run needs, as plain JSON values; folders are absolute paths."""

    run_id: str
    model: str
    model_config: dict
    train_config: dict
    recipe: str | None  # None: a floor, which is not trained
    seed: int
    target: str
    unit: str | None
    store: str
    split: str  # hash of the stored split
    folder: str  # curve and checkpoint
    cache: str  # graphs that trials share
    tensorboard: str  # event files of this run
    hparams: dict

    @property
    def checkpoint(self) -> Path:
        """Where the unfinished run's state lies."""
        return Path(self.folder) / "checkpoint.safetensors"

    @property
    def curve(self) -> Path:
        """Where the run's learning curve lies."""
        return Path(self.folder) / "curve.csv"

    def resolved_config(self) -> dict:
        """The resolved configuration, as recorded with results."""
        return {"model": self.model_config, "train": self.train_config}

    def facts(self) -> dict[str, float | None]:
        """What a record says of the configuration beside it, see `ModelEntry.facts`."""
        entry = MODELS[self.model]
        return entry.facts(entry.config(**self.model_config))

    def settings(self) -> dict:
        """What a checkpoint must share with the task that continues it."""
        names = ("model", "model_config", "train_config", "seed", "target", "split")
        return {name: getattr(self, name) for name in names}
