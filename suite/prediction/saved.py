"""`SavedTarget`: one target of a trained model, with everything that predicting it takes but the weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from crystalformer.data.targets import TargetScaler
from crystalformer.data.training_range import TrainingRange
from suite.prediction.calibration import Calibration

Weights = Mapping[str, Tensor]  # the state dict of one seed


class UnusableModel(ValueError):
    """A model that cannot be loaded; the message says which, what was expected, what came, and what to do."""


@dataclass(frozen=True)
class SavedTarget:
    """What a model was trained for, and how good it is at it.

    Attributes:
        target: name of the property.
        unit: of the values, None where it is not known.
        model: key of the registry.
        config: fields of the model's configuration class.
        seeds: of the ensemble, one for each set of weights.
        cell: which cell of a crystal the model was trained on, see `crystalformer.sources.cells`.
        scaler: from the model's output to the unit.
        training: what the training crystals were like.
        calibration: of the uncertainty.
        about: for readers: data set, split, recipe, errors of the ensemble (JSON).
    """

    target: str
    unit: str | None
    model: str
    config: dict[str, Any]
    seeds: tuple[int, ...]
    cell: str
    scaler: TargetScaler
    training: TrainingRange
    calibration: Calibration
    about: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self) | {
            "seeds": list(self.seeds),
            "scaler": self.scaler.to_dict(),
            "training": self.training.to_dict(),
            "calibration": vars(self.calibration),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: the fields are not those of `to_dict`.
        """
        return cls(
            **{
                **fields,
                "seeds": tuple(fields["seeds"]),
                "scaler": TargetScaler.from_dict(fields["scaler"]),
                "training": TrainingRange.from_dict(fields["training"]),
                "calibration": Calibration(**fields["calibration"]),
            }
        )


@dataclass(frozen=True)
class TrainedTarget:
    """A saved target and the weights of its seeds."""

    saved: SavedTarget
    weights: tuple[Weights, ...]
