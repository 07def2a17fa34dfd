"""`Assignment`: a trial to run, as it stands in the study."""

import json
import re
from dataclasses import asdict, dataclass

from suite.space.scalars import Scalar

ATTRIBUTE = "assignment"  # of a trial of the study


@dataclass(frozen=True)
class Assignment:
    """A trial to run: which model with which values, under which id."""

    number: int
    trial_id: str
    model: str
    params: dict[str, Scalar]
    seed: int

    @property
    def id_number(self) -> int:
        """The number at the end of the trial id."""
        return int(re.findall(r"\d+$", self.trial_id)[0])

    def attributes(self) -> dict[str, str]:
        """What the study keeps of it."""
        return {ATTRIBUTE: json.dumps(asdict(self)), "model": self.model}

    @classmethod
    def read(cls, attributes: dict[str, str]) -> "Assignment":
        """The assignment of a trial with these attributes."""
        return cls(**json.loads(attributes[ATTRIBUTE]))
