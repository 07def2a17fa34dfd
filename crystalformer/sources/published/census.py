"""`Census`: what a published source holds, compared with the catalogue before anything is stored."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import isnan, nan
from typing import Any

import numpy as np

from crystalformer.data.datasets.row import Dataset, Part, Target
from crystalformer.data.official import FOLDS, OTHER_FILE, REPEATED, Roster, fold_ids, official_ids
from crystalformer.sources.records import DataError, Record

OUTSIDE = 0.1  # of the values may lie outside of the usual range
MAD_TOLERANCE = 0.1  # relative, by which the mean absolute deviation may differ from the published one


@dataclass
class Census:
    """Counts the records of a data set as they pass, and makes their ids unique.

    Attributes:
        dataset: what is expected.
        parts: those that are read.
    """

    dataset: Dataset
    parts: tuple[Part, ...]
    ids: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = {name: [] for part in self.parts for name in part.keys}

    def passing(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records with their final ids; at the end, the comparison with the catalogue.

        Raises:
            DataError: counts, ids or units are not those of the published data set.
        """
        seen: Counter[str] = Counter()
        for record in records:
            seen[record.id] += 1
            if seen[record.id] > 1:
                record = replace(record, id=f"{record.id}{REPEATED}{seen[record.id]}")
            self.ids.append(record.id)
            self.labels.append(record.split)
            for name, column in self.values.items():
                column.append(record.targets.get(name, nan))
            yield record
        compare(self.dataset, self.parts, self.roster())

    def roster(self) -> Roster:
        """All records, in the order of the source."""
        return Roster(self.ids, self.labels, {name: np.array(column) for name, column in self.values.items()})

    def absent(self, rejected: Iterable[str]) -> list[dict[str, Any]]:
        """What the official split must know of records that made no crystals: place, label and targets."""
        place = {id_: position for position, id_ in enumerate(self.ids)}
        return [
            {
                "position": position,
                "id": self.ids[position],
                "label": self.labels[position],
                "targets": _given({name: column[position] for name, column in self.values.items()}),
            }
            for position in sorted(place[id_] for id_ in rejected)
        ]


def compare(dataset: Dataset, parts: tuple[Part, ...], roster: Roster) -> None:
    """Compare the records of these parts with the catalogue: their number, units, splits and ids.

    Raises:
        DataError: they are not those of the published data set.
    """
    expected = [part.crystals for part in parts]
    total = sum(count for count in expected if count is not None)
    if None not in expected and len(roster.ids) != total:
        raise DataError(f"{dataset.name}: expected {total:,} crystals, got {len(roster.ids):,}: {OTHER_FILE}")
    for name, values in roster.targets.items():
        check_unit(dataset.name, name, dataset.targets[name], values[~np.isnan(values)])
    try:
        for name in roster.targets:
            split = dataset.splits.get(name)
            if split is not None and split.rule == "folds":
                for fold in range(FOLDS):
                    fold_ids(dataset, roster, name, fold)
            elif split is not None:
                official_ids(dataset, roster, name)
    except ValueError as error:
        raise DataError(str(error)) from error


def check_unit(dataset: str, name: str, target: Target, values: np.ndarray) -> None:
    """Whether the values can be in the target's unit.

    Raises:
        DataError: there are none, many lie outside of the usual range, or their spread is another.
    """
    if not values.size:
        raise DataError(f"{dataset}: {name}: expected values, got none")
    if target.usual is not None:
        low, high = target.usual
        outside = float(np.mean((values < low) | (values > high)))
        if outside > OUTSIDE:
            raise DataError(
                f"{dataset}: {name}: expected nearly all values from {low:g} to {high:g} {target.unit}, got "
                f"{outside:.0%} outside, the median is {np.median(values):.4g}: in which unit are they?"
            )
    if target.mad is not None:
        spread = float(np.abs(values - values.mean()).mean())
        if abs(spread - target.mad) > MAD_TOLERANCE * target.mad:
            raise DataError(
                f"{dataset}: {name}: expected a mean absolute deviation near the published {target.mad:g} "
                f"{target.unit}, got {spread:.4g}: other crystals, or another unit?"
            )


def _given(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if not isnan(value)}
