"""What a lost worker means for its trial: another try, a smaller one, or the end.

A node that dies or a process that is killed says nothing of the configuration, and neither does a folder that
a process of an earlier session still holds: that trial is tried again until the folder is free. A worker that
Ray's memory monitor ended may say something: the trial, or its neighbours on the node, took too much of the
host's memory. It gets one more try, another one whenever it has trained an epoch more, and then counts as
too large; with `micro_batch: auto` as many as there are smaller passes to be tried. Where the worker itself
had a small part of the memory, others are to blame, and the search starts nothing for a while, longer each
time. (The system's own killer, where it comes before Ray's, leaves no word; its kills are lost workers.)
"""

import math
import re
from time import monotonic

from suite.ledger import Assignment, TrialLedger
from suite.run_folder import FolderHeld
from suite.trial_task import TrialTask
from suite.without_progress import WithoutProgress

_OF_THE_MONITOR = "running low on memory"  # in Ray's own message
_MOST_MEMORY_LOSSES = 2
_BLAMELESS = 0.1  # of the memory in use: a worker with less of it is not what is too large
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 300.0


class Losses:
    """The workers that each trial of a search has lost.

    Args:
        ledger: hands out again what is taken back.
    """

    def __init__(self, ledger: TrialLedger) -> None:
        self._ledger = ledger
        self._for_memory = WithoutProgress()
        self._passes: dict[int, int] = {}
        self._pauses, self._until = 0, 0.0

    @property
    def pausing(self) -> bool:
        """Whether nothing is to start yet, because others took the memory."""
        return monotonic() < self._until

    def calm(self) -> None:
        """A trial got further: the next pause is a short one."""
        self._pauses = 0

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
        if (short := out_of_memory(said)) and blameless(said):
            self._until = monotonic() + min(_FIRST_PAUSE_S * 2**self._pauses, _LONGEST_PAUSE_S)
            self._pauses += 1
        elif short and self._too_large(number, task):
            return short
        if self._ledger.take_back(assignment):
            return None
        return "its worker was lost more often than is retried"

    def passes(self, number: int) -> int | None:
        """Crystals of one pass at most in the next try, None: no bound."""
        return self._passes.get(number)

    def _too_large(self, number: int, task: TrialTask) -> bool:
        """Whether no smaller pass is left to try, and too many were lost since the last new epoch."""
        if self._halve(number, task):
            return False
        epochs = self._ledger.trials()[number].epochs
        return self._for_memory.count(number, epochs) >= _MOST_MEMORY_LOSSES

    def _halve(self, number: int, task: TrialTask) -> bool:
        if task.train_config.get("micro_batch") != "auto":
            return False
        before = self._passes.get(number, task.train_config["batch_size"])
        self._passes[number] = math.ceil(before / 2)
        return before > 1


def in_words(said: str) -> str:
    """What happened, for people, from Ray's message."""
    short = "its worker was ended because its node ran short of memory"
    return _held(said) or (short if out_of_memory(said) else "its worker was lost")


def _held(said: str) -> str | None:
    """Who holds the folder, where that is what went wrong."""
    lines = [line for line in said.splitlines() if FolderHeld.__name__ in line]
    return lines[-1].rpartition(f"{FolderHeld.__name__}: ")[2].strip() if lines else None


def out_of_memory(said: str) -> str | None:
    """Why a run failed, where Ray's message is that its worker was ended for the memory of its node."""
    if _OF_THE_MONITOR not in said:
        return None
    usage = said.partition("Memory on the node")[2].partition("\n")[0].partition(") was ")[2].strip()
    return f"out of memory: the host's was short and Ray ended its worker: {usage or 'no figures'}"


def blameless(said: str) -> bool:
    """Whether the workers that were ended so had but a small part of the memory in use."""
    own = [float(found) for found in re.findall(r"actual memory used=([\d.]+)GB", said)]
    used = re.search(r"\) was ([\d.]+)GB used", said)
    return used is not None and bool(own) and max(own) < _BLAMELESS * float(used[1])
