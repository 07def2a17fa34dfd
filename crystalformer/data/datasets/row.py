"""`Dataset`: one row of the catalogue, and what it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Target:
    """One property.

    Attributes:
        unit: of all values.
        label: how tables and axes call it.
        mad: published mean absolute deviation over the data set, in the unit; None: none is known.
        usual: nine tenths of the values lie between these two, in the unit. Values in another unit
            (kJ/mol for eV, a natural for a decadic logarithm) would not, so the unit is checked by it.
        crystals: with a value; None: all of the data set, or not known.
    """

    unit: str
    label: str
    mad: float | None = None
    usual: tuple[float, float] | None = None
    crystals: int | None = None


@dataclass(frozen=True)
class Bundle:
    """A data set that comes with the package: a file in `crystalformer/data/bundled`, its SHA-256, and the
    file of JSON lines it was made from.
    """

    file: str
    sha256: str
    origin: str


@dataclass(frozen=True)
class SourceFile:
    """A published file. What is not known of it is None or empty.

    Attributes:
        name: under which it is kept, and under which users copy it.
        urls: the source, then mirrors.
        size: in bytes.
        sha256, md5: checksums of the file.
        split: the part of the official split that all its crystals belong to.
    """

    name: str
    urls: tuple[str, ...]
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Part:
    """Files of one format that give some of the targets; most data sets have one part.

    Attributes:
        format: which reader of `crystalformer.sources.published` knows them.
        keys: target -> its name in the files.
        id_key: name of the ids in the files.
        suffix: added to the ids, where other parts have crystals of the same names.
        crystals: in all files together; None: not known.
    """

    format: Literal["jarvis", "matbench", "csv", "pickle"]
    files: tuple[SourceFile, ...]
    keys: Mapping[str, str]
    id_key: str = "id"
    suffix: str = ""
    crystals: int | None = None


@dataclass(frozen=True)
class OfficialSplit:
    """The published split for a target; `crystalformer.data.official` makes it.

    Attributes:
        rule: "shuffle": the records, in the order of the source, shuffled by `random.Random(seed)`; "files":
            the source has a file for each part; "folds": five test folds, one of which a search names.
        counts: train, validation and test crystals; empty: not known, or differing from fold to fold.
        ends: the first and last id of each part that the authors' code checks, where it does.
        needs: a record takes part if it has a value for each of these; empty: for the target.
        seed: of the shuffling.
        fold_sha256: SHA-256 of the sorted test ids of each fold, joined by newlines, of the published lists.
    """

    rule: Literal["shuffle", "files", "folds"]
    counts: Mapping[str, int] = field(default_factory=dict)
    ends: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    seed: int = 123
    fold_sha256: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """One data set: either bundled, or published in parts.

    `crystals` is their number, those of parts with a suffix not counted. `splits` has the official split of
    each target that has one. `citation` and `license` go into every report; `note` is what a user should
    know besides.
    """

    name: str
    label: str
    targets: Mapping[str, Target]
    crystals: int
    citation: str
    license: str
    bundle: Bundle | None = None
    parts: tuple[Part, ...] = ()
    splits: Mapping[str, OfficialSplit] = field(default_factory=dict)
    note: str = ""

    def parts_of(self, targets: tuple[str, ...]) -> tuple[Part, ...]:
        """The parts that give these targets."""
        return tuple(part for part in self.parts if any(target in part.keys for target in targets))

    def crystals_with(self, target: str) -> int:
        """The number of crystals that have the target."""
        known = self.targets[target].crystals
        return self.crystals if known is None else known
