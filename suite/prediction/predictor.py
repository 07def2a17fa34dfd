"""`Predictor`: a trained model that answers for new crystals, with an uncertainty and with warnings."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import nan
from typing import Any

import numpy as np

from crystalformer.data.crystal import Crystal
from crystalformer.data.training_range import TrainingRange
from crystalformer.sources.cells import with_cell
from crystalformer.sources.objects import as_crystal, is_structure
from suite.prediction.network import BATCH, Networks, grouped
from suite.prediction.saved import SavedTarget, TrainedTarget


@dataclass(frozen=True)
class Prediction:
    """One property of one crystal.

    Attributes:
        id: of the crystal.
        target: name of the property.
        value: mean over the seeds, in `unit`; NaN where there is an error.
        unit: None where it is not known.
        uncertainty: half-width in `unit` of an interval that holds the true value of 68.3 % of the crystals
            that are like the validation crystals (see `suite.prediction.calibration`).
        model: key of the registry.
        warning: in what the crystal lies outside of the training crystals; empty for one like them.
        error: why there is no value; empty where there is one.
    """

    id: str
    target: str
    value: float
    unit: str | None
    uncertainty: float
    model: str
    warning: str = ""
    error: str = ""


@dataclass(frozen=True)
class Unreadable:
    """In place of a crystal: why there is none."""

    id: str
    reason: str


class Predictor:
    """Predicts the targets of a trained model; `suite.load` makes one.

    Attributes:
        targets: what is predicted, and how good the model is at it.
    """

    def __init__(self, targets: Sequence[TrainedTarget]) -> None:
        self.targets: tuple[SavedTarget, ...] = tuple(trained.saved for trained in targets)
        self._networks = grouped(targets)

    def predict(self, structures: Any) -> list[Prediction]:
        """Predictions of one structure or of several, structure after structure, for every target.

        A structure is a pymatgen `Structure`, ASE `Atoms`, a `Crystal`, or a mapping with `species` (Z),
        `lattice` (Å, rows are the cell vectors) and `frac`. What cannot be predicted has an `error`.
        """
        return list(self.stream([structures] if is_structure(structures) else structures))

    def stream(self, structures: Iterable[Any]) -> Iterator[Prediction]:
        """The same for any number of structures, which are read and answered batch by batch."""
        numbered = enumerate(structures, start=1)
        while batch := list(islice(numbered, BATCH)):
            items = [_crystal(structure, f"structure {number}") for number, structure in batch]
            for predictions in self.answer(items):
                yield from predictions

    def answer(self, items: Sequence[Crystal | Unreadable]) -> list[list[Prediction]]:
        """The predictions of each item, one for every target; meant for a batch, see `network.BATCH`."""
        items = [_in_cell(item, self.targets[0].cell) for item in items]  # all were trained on one data set
        rows = [_failed(item, self.targets) for item in items]
        places = [place for place, item in enumerate(items) if isinstance(item, Crystal)]
        crystals = [item for item in items if isinstance(item, Crystal)]
        texts: dict[TrainingRange, list[str]] = {}  # most targets share one
        for networks in self._networks if crystals else ():
            values, failures = _answers(networks, crystals)
            for target, seeds in zip(networks.targets, values, strict=True):
                if target.training not in texts:
                    texts[target.training] = [
                        "; ".join(found) for found in target.training.warnings(crystals)
                    ]
                warnings = texts[target.training]
                column = self.targets.index(target)
                found = _predictions(target, crystals, seeds, failures, warnings)
                for place, prediction in zip(places, found, strict=True):
                    rows[place][column] = prediction
        return rows


def _answers(networks: Networks, crystals: Sequence[Crystal]) -> tuple[list[np.ndarray], dict[int, str]]:
    """`Networks.predict`, one crystal after the other where one of them spoils the batch."""
    try:
        return networks.predict(crystals)
    except (ValueError, RuntimeError, MemoryError) as error:
        if len(crystals) == 1:
            reason = " ".join(str(error).split()) or type(error).__name__
            return [np.full((1, 1), nan) for _ in networks.targets], {0: reason}
    alone = [_answers(networks, [crystal]) for crystal in crystals]
    failures = {place: reasons[0] for place, (_, reasons) in enumerate(alone) if reasons}
    values = []
    for column, target in enumerate(networks.targets):
        seeds = [np.broadcast_to(answers[column], (len(target.seeds), 1)) for answers, _ in alone]
        values.append(np.concatenate(seeds, axis=1))
    return values, failures


def _predictions(
    target: SavedTarget,
    crystals: Sequence[Crystal],
    seeds: np.ndarray,
    failures: dict[int, str],
    warnings: Sequence[str],
) -> Iterator[Prediction]:
    """Of each crystal, from the values of the seeds, (seeds, crystals)."""
    values, half_widths = seeds.mean(axis=0), target.calibration.uncertainty(seeds.std(axis=0))
    for place, crystal in enumerate(crystals):
        value, error = float(values[place]), failures.get(place, "")
        if not error and not np.isfinite(value):
            error = f"expected a finite number from {target.model}, got {value}"
        known = (nan, nan, "") if error else (value, float(half_widths[place]), warnings[place])
        yield Prediction(
            crystal.id, target.target, known[0], target.unit, known[1], target.model, known[2], error
        )


def _failed(item: Crystal | Unreadable, targets: Iterable[SavedTarget]) -> list[Prediction]:
    """What is said of an item that is not predicted."""
    reason = item.reason if isinstance(item, Unreadable) else "not predicted"
    return [Prediction(item.id, t.target, nan, t.unit, nan, t.model, error=reason) for t in targets]


def _in_cell(item: Crystal | Unreadable, cell: str) -> Crystal | Unreadable:
    try:
        return with_cell(item, cell) if isinstance(item, Crystal) else item
    except ValueError as error:
        return Unreadable(item.id, str(error))


def _crystal(structure: Any, id_: str) -> Crystal | Unreadable:
    try:
        return as_crystal(structure, id_)
    except ValueError as error:
        return Unreadable(id_, str(error))
