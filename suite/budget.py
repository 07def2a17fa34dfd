"""`Budget`: what a search has used of hours, GPU hours and epochs, and which of them ends it."""

from collections.abc import Callable

from suite.space.search_space import BudgetSpec


class Budget:
    """Usage against limits; trials are counted by the ledger.

    Args:
        limits: of the search space.
        searched_s: gives the seconds searched so far, over all sessions.
    """

    def __init__(self, limits: BudgetSpec, searched_s: Callable[[], float]) -> None:
        self._limits, self._searched_s = limits, searched_s
        self._trials: dict[int, tuple[int, float]] = {}  # number -> epochs, seconds
        self._gpus: dict[int, float] = {}
        self._epochs, self._gpu_s = 0, 0.0

    def use(self, number: int, gpus: float) -> None:
        """What a trial has of GPUs from now on."""
        self._gpus[number] = gpus

    def note(self, number: int, epochs: int, seconds: float) -> None:
        """How far a trial is, and for how many seconds it has trained."""
        earlier_epochs, earlier_s = self._trials.get(number, (0, 0.0))
        self._epochs += epochs - earlier_epochs
        self._gpu_s += (seconds - earlier_s) * self._gpus.get(number, 0.0)
        self._trials[number] = (epochs, seconds)

    def used_up(self) -> str | None:
        """The limit that is reached, in words; None while there is something left."""
        limits = self._limits
        if limits.hours is not None and self._searched_s() >= 3600 * limits.hours:
            return f"the budget of {limits.hours:g} h was used up"
        gpu_hours = self._gpu_s / 3600
        if limits.gpu_hours is not None and gpu_hours >= limits.gpu_hours:
            return f"the budget of {limits.gpu_hours:g} GPU hours was used up"
        if limits.total_epochs is not None and self._epochs >= limits.total_epochs:
            return f"the budget of {limits.total_epochs:,} epochs in all was used up"
        return None
