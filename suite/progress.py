"""What a search tells those who watch it: the events, whoever shows them."""

from collections.abc import Sequence
from typing import Protocol


class Watcher(Protocol):
    """Told of every run, of the search and of the final stage, as it happens."""

    def phase(self, title: str, runs: int, done: int, coming: Sequence[tuple[str, int]] = ()) -> None:
        """A stage of `runs` runs begins, `done` of them finished in earlier sessions.

        `coming`: model and epochs of each run that is left, where that is known beforehand.
        """

    def started(self, run_id: str, model: str, epochs: int) -> None:
        """A run begins or is continued."""

    def epoch(self, run_id: str, epoch: int, val_mae: float, crystals_per_s: float) -> None:
        """A run finished an epoch; the error is in the target's unit."""

    def ended(self, run_id: str, state: str, ended: str, val_mae: float | None) -> None:
        """A run is complete, stopped or failed, and why."""

    def message(self, text: str) -> None:
        """Something a reader should know."""
