"""What a lost worker means for its trial: another try, a smaller one, or the end.

A node that dies or a process that is killed says nothing of the configuration, and neither does a folder that
a process of an earlier session still holds: that trial is tried again until the folder is free. A worker that
Ray's memory monitor ended may say something: the trial, or its neighbours on the node, took too much of the
host's memory. It gets one more try and then counts as too large; with `micro_batch: auto` as many as there
are smaller passes to be tried. (The system's own killer, where it comes before Ray's, leaves no word; its
kills count as lost workers.)
"""

import math
from collections import Counter

from suite.ledger import Assignment, TrialLedger
from suite.run_folder import FolderHeld
from suite.trial_task import TrialTask

_OF_THE_MONITOR = "running low on memory"  # in Ray's own message
_MOST_MEMORY_LOSSES = 2


class Losses:
    """The workers that each trial of a search has lost.

    Args:
        ledger: hands out again what is taken back.
    """

    def __init__(self, ledger: TrialLedger) -> None:
        self._ledger = ledger
        self._for_memory: Counter[int] = Counter()
        self._passes: dict[int, int] = {}

    def over(self, assignment: Assignment, task: TrialTask, said: str) -> str | None:
        """Why the trial ends with this loss; None where it was taken back to be tried again.

        Args:
            assignment, task: of the trial.
            said: Ray's message.
        """
        number = assignment.number
        if _held(said):
            self._ledger.put_back(assignment)
            return None
        if _OF_THE_MONITOR in said:
            self._for_memory[number] += 1
            if not self._halve(number, task) and self._for_memory[number] >= _MOST_MEMORY_LOSSES:
                return f"out of memory: the host's was short and Ray ended its worker: {_usage(said)}"
        if self._ledger.take_back(assignment):
            return None
        return "its worker was lost more often than is retried"

    def passes(self, number: int) -> int | None:
        """Crystals of one pass at most in the next try, None: no bound."""
        return self._passes.get(number)

    def _halve(self, number: int, task: TrialTask) -> bool:
        if task.train_config.get("micro_batch") != "auto":
            return False
        before = self._passes.get(number, task.train_config["batch_size"])
        self._passes[number] = math.ceil(before / 2)
        return before > 1


def in_words(said: str) -> str:
    """What happened, for people, from Ray's message."""
    return _held(said) or "its worker was lost"


def _held(said: str) -> str | None:
    """Who holds the folder, where that is what went wrong."""
    lines = [line for line in said.splitlines() if FolderHeld.__name__ in line]
    return lines[-1].rpartition(f"{FolderHeld.__name__}: ")[2].strip() if lines else None


def _usage(said: str) -> str:
    """The part of Ray's message that says how much memory was used."""
    return (
        said.partition("Memory on the node")[2].partition("\n")[0].partition(") was ")[2].strip()
        or "no figures"
    )
