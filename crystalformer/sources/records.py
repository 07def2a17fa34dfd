"""`Record`: one row of a source before its structure is read; `Rejection`: why one cannot be used."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SPLIT_LABELS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "<na>"})  # spellings of a missing value

Kind = Literal["arrays", "atoms", "cif", "poscar", "extxyz", "text", "dict", "file", "crystal"]


class DataError(ValueError):
    """A data set cannot be read as it is; the message says where, what was expected, and what came."""


@dataclass(frozen=True)
class Rejection:
    """A row that cannot be used, or, where `target` is given, only its value of this target."""

    id: str
    where: str  # such as "line 3"
    reason: str
    target: str = ""


@dataclass(frozen=True)
class Record:
    """One crystal of a source. `payload` is, by `kind`:

    | kind | payload |
    |---|---|
    | `arrays` | dict: `species` (Z), `lattice` (Å, rows), `frac`, and `mixed` (site, Z, fraction) if wanted |
    | `atoms` | dict: `numbers` (Z), `positions` (Å), `cell` (Å, rows), as ASE has them |
    | `cif`, `poscar`, `extxyz` | a text of that format |
    | `text` | any of these formats, or the JSON text of a pymatgen structure |
    | `dict` | a pymatgen structure as a dict |
    | `file` | the path of a file of these formats |
    | `crystal` | a `Crystal` without targets and split |

    `faults` are values of targets that cannot be used; the crystal lacks them.
    """

    id: str
    where: str  # such as "line 3", for messages
    kind: Kind
    payload: Any
    targets: dict[str, float] = field(default_factory=dict)
    split: str | None = None
    faults: tuple[Rejection, ...] = ()


Row = Record | Rejection


@dataclass(frozen=True)
class Reading:
    """One pass through a source: its rows, how many there are where that is known, and what is passed over.

    `ignored` has the columns that were taken for text, each with an example.
    """

    rows: Iterator[Row]
    total: int | None = None
    ignored: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A data set before it is converted; `read` begins a pass through it.

    `provenance` is for the manifest of the store; `learned` adds to it what a pass has shown, given what was
    rejected. `own` data are the user's; of published ones all crystals are taken as they are.
    """

    name: str
    fingerprint: str  # changes whenever the content does
    read: Callable[[], Reading]
    units: dict[str, str | None]
    provenance: dict[str, Any]
    own: bool = False
    learned: Callable[[Sequence[Rejection]], dict[str, Any]] = lambda rejections: {}


def is_missing(value: object) -> bool:
    """Whether a cell of a table holds no value."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return value is None or (isinstance(value, float) and math.isnan(value))


def split_label(value: object) -> str | None:
    """The label train, val or test, or None for an empty one.

    Raises:
        ValueError: any other label.
    """
    if is_missing(value):
        return None
    label = SPLIT_LABELS.get(str(value).strip().lower())
    if label is None:
        raise ValueError(f"split: expected train, val or test, got {value!r:.80}")
    return label


def distinct(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, but of those with the same id only the first; the others are rejected."""
    first: dict[str, str] = {}
    for row in rows:
        if isinstance(row, Record):
            before = first.setdefault(row.id, row.where)
            if before != row.where:
                row = Rejection(row.id, row.where, f"expected every id once, got it in {before} before")
        yield row


def shown(values: Iterable[object], limit: int = 10) -> str:
    """A short list for a message."""
    texts = [str(value) for value in values]
    return ", ".join(texts[:limit]) + (f", ... ({len(texts)} in all)" if len(texts) > limit else "")
