"""What one file states beside what another one gives: the smallest step of every trace."""

from dataclasses import dataclass

import numpy as np

from reports.run_folder import TOLERANCE


@dataclass(frozen=True)
class Check:
    """What a file states beside what another one gives."""

    what: str
    stated: object
    found: object

    @property
    def agrees(self) -> bool:
        """Equal; numbers within what rounding in a sum explains."""
        if isinstance(self.stated, float | int) and isinstance(self.found, float | int):
            if np.isnan(self.stated) or np.isnan(self.found):
                return bool(np.isnan(self.stated) and np.isnan(self.found))
            return bool(abs(self.stated - self.found) <= TOLERANCE * max(1.0, abs(self.found)))
        return self.stated == self.found

    @property
    def sentence(self) -> str:
        """Both values."""
        return f"{self.what}: stated {self.stated!r}, found {self.found!r}"
