"""`Assignment`: a trial to run, as it stands in the study."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from suite.file_names import plain_name
from suite.space.scalars import Scalar

ATTRIBUTE = "assignment"  # of a trial of the study


@dataclass(frozen=True)
class Stretch:
    """Epochs with unchanged values: from `epoch`, the number of those before it, to the next stretch."""

    epoch: int
    by: str  # id of the trial that trained it
    params: dict[str, Scalar]


@dataclass(frozen=True)
class Membership:
    """What the member of a population trains next.

    It goes on from the epoch `start` until an epoch, in the state in which `source`, itself or another
    member, was at the pause between; its weights were trained as `lineage` says.
    """

    start: int
    until: int
    source: str | None
    lineage: tuple[Stretch, ...]

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> "Membership":
        """A membership from JSON."""
        return cls(**{**plain, "lineage": tuple(Stretch(**stretch) for stretch in plain["lineage"])})


@dataclass(frozen=True)
class Assignment:
    """A trial to run: which model with which values, under which id."""

    number: int
    trial_id: str
    model: str
    params: dict[str, Scalar]
    seed: int
    member: Membership | None = None  # of a population

    @property
    def id_number(self) -> int:
        """The number at the end of the trial id."""
        return int(re.findall(r"\d+$", self.trial_id)[0])

    def attributes(self) -> dict[str, str]:
        """What the study keeps of it."""
        return {ATTRIBUTE: json.dumps(asdict(self)), "trial_id": self.trial_id, "model": self.model}

    @classmethod
    def read(cls, attributes: Mapping[str, Any]) -> "Assignment":
        """The assignment of a trial with these attributes.

        Raises:
            ValueError: an id is no name of a folder, so that the study is not one of ours.
        """
        plain = json.loads(attributes[ATTRIBUTE])
        member = plain.get("member")
        for trial_id in (plain["trial_id"], (member or {}).get("source") or plain["trial_id"]):
            plain_name("trial id", trial_id)
        return cls(**{**plain, "member": None if member is None else Membership.read(member)})
