"""`Record`: one row of a source before its structure is read."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SPLIT_LABELS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
MISSING = frozenset({"", "nan", "na", "n/a", "none", "null"})  # spellings of a missing value, lower case


class DataError(ValueError):
    """A data set cannot be read as it is; the message says where, what was expected, and what came."""


@dataclass(frozen=True)
class Record:
    """One crystal of a source. `payload` is, by `kind`:

    "arrays": dict with `species` (Z), `lattice` (Å, rows) and `frac`; "text": a CIF text or the JSON text
    of a pymatgen structure; "dict": a pymatgen structure as a dict; "file": the path of a CIF or POSCAR.
    """

    id: str
    where: str  # such as "line 3", for messages
    kind: Literal["arrays", "text", "dict", "file"]
    payload: Any
    targets: dict[str, float]
    split: str | None


def is_missing(value: object) -> bool:
    """Whether a cell of a table holds no value."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return value is None or (isinstance(value, float) and math.isnan(value))


def split_label(value: object, where: str) -> str | None:
    """The label train, val or test, or None for an empty one.

    Raises:
        DataError: any other label.
    """
    if is_missing(value):
        return None
    label = SPLIT_LABELS.get(str(value).strip().lower())
    if label is None:
        raise DataError(f"{where}: split: expected train, val or test, got {value!r}")
    return label


def check_ids(records: Sequence[Record], source: str) -> None:
    """Refuse a source without crystals, with an id that comes twice or one that cannot be written.

    Raises:
        DataError: says so, with the lines of the first such id.
    """
    if not records:
        raise DataError(f"{source}: expected at least one crystal, got none")
    for record in records:
        if not record.id.isprintable():
            raise DataError(f"{source}, {record.where}: id: expected printable characters, got {record.id!a}")
    twice = [id_ for id_, count in Counter(record.id for record in records).items() if count > 1]
    if twice:
        places = ", ".join(record.where for record in records if record.id == twice[0])
        raise DataError(
            f"{source}: expected every id once, got {twice[0]!r} in {places}"
            + (f" (and {len(twice) - 1} more such ids)" if len(twice) > 1 else "")
        )


def shown(values: Iterable[object], limit: int = 10) -> str:
    """A short list for a message."""
    texts = [str(value) for value in values]
    return ", ".join(texts[:limit]) + (f", ... ({len(texts)} in all)" if len(texts) > limit else "")
