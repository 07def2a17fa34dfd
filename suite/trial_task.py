"""`TrialTask`: everything that a training run needs to know."""

from dataclasses import dataclass, field
from pathlib import Path

from suite.registry import MODELS


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
    histograms: bool = False  # in the event files, of weights and gradients
    schedule: list[dict] = field(default_factory=list)  # {"epoch": done before, name: its value from then on}
    until: int | None = None  # the epoch after which the run pauses
    source: str | None = None  # the paused state of a run that this one goes on from

    @property
    def checkpoint(self) -> Path:
        """Where the unfinished run's state lies."""
        return Path(self.folder) / "checkpoint.safetensors"

    def paused(self, epoch: int) -> Path:
        """Where the run's state at a pause lies, for whoever goes on from it."""
        return paused_state(Path(self.folder), epoch)

    @property
    def asked(self) -> Path:
        """A file that asks the run for a checkpoint after the epoch it is in, see `CheckpointRequest`."""
        return Path(self.folder) / "checkpoint.asked"

    @property
    def curve(self) -> Path:
        """Where the run's learning curve lies."""
        return Path(self.folder) / "curve.csv"

    def resolved_config(self) -> dict:
        """The resolved configuration, as recorded with results."""
        config: dict = {"model": self.model_config, "train": self.train_config}
        return config | ({"schedule": self.schedule} if self.schedule else {})

    def facts(self) -> dict[str, float | None]:
        """What a record says of the configuration beside it, see `ModelEntry.facts`."""
        entry = MODELS[self.model]
        return entry.facts(entry.config(**self.model_config))

    def settings(self, epoch: int) -> dict:
        """What a checkpoint of this epoch must share with the task that continues it."""
        names = ("model", "model_config", "train_config", "seed", "target", "split")
        followed = [change for change in self.schedule if change["epoch"] < epoch]
        return {name: getattr(self, name) for name in names} | ({"schedule": followed} if followed else {})


def paused_state(folder: Path, epoch: int) -> Path:
    """The file of the state in which a trial was at a pause."""
    return folder / f"paused-{epoch:04d}.safetensors"
