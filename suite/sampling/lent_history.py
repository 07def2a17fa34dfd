"""`LentHistory`: a study's earlier trials as Optuna's samplers read them, without a copy of each.

`Study.add_trials` copies every trial deeply, which for thousands of them costs ten times what sampling does.
"""

from collections.abc import Container, Sequence

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState


class LentHistory(InMemoryStorage):
    """Optuna's storage in memory, before whose own trials come some that it only lends out.

    The storage itself knows of its own trials alone, so it serves samplers that look at a study through its
    list of trials and not at their numbers.

    Args:
        trials: in their order; they are given numbers below zero, since the next one has number 0.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        super().__init__()
        for number, trial in enumerate(trials, start=-len(trials)):
            trial.number = number
        self._lent = list(trials)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The lent trials as they are, then its own."""
        lent = [trial for trial in self._lent if states is None or trial.state in states]
        return [*lent, *super().get_all_trials(study_id, deepcopy, states)]
