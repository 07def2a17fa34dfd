"""`CheckpointRequest`: asks running training runs to write their checkpoints before a search ends.

A run that is asked finds a file in its folder after the epoch it is in, writes its checkpoint and removes the
file. That needs nothing but the shared folder, so that it works for any process on any node.
"""

import time
from collections.abc import Sequence
from contextlib import suppress

from suite.trial_task import TrialTask

# Longer epochs end with a checkpoint anyway, because writing it costs little of their time.
PATIENCE_S = 20.0


class CheckpointRequest:
    """Asks the runs of these tasks; a run without a curve has nothing to lose and isn't asked."""

    def __init__(self, tasks: Sequence[TrialTask]) -> None:
        self._tasks = [task for task in tasks if task.curve.exists()]
        self._deadline = time.monotonic() + PATIENCE_S
        for task in self._tasks:
            with suppress(OSError):  # a full disk keeps the checkpoint from being written, too
                task.asked.touch()

    def answered(self, task: TrialTask) -> bool:
        """Whether the task's run has written its checkpoint, or isn't asked."""
        return not task.asked.exists()

    @property
    def over(self) -> bool:
        """Whether all have answered, or have had the time to."""
        return time.monotonic() > self._deadline or all(map(self.answered, self._tasks))
