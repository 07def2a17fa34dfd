"""`Ending`: ends Tune's loop at an interrupt, and at a fault that no trial is to blame for."""

from collections.abc import Callable
from typing import Any

from ray import tune

from suite.checkpoint_request import CheckpointRequest
from suite.progress import Watcher
from suite.ray_driver.lifeline import Lifeline
from suite.ray_driver.searcher import LedgerSearcher

STOPPING = "stopping: what runs writes its checkpoint; once more to stop at once"


class Ending(tune.Callback):
    """Told of each step of Tune's loop.

    An error that is raised while Tune handles a trial's result counts against the trial, which is tried
    again, so faults are only noted there (`LedgerSearcher.broken`) and raised here.
    """

    def __init__(
        self,
        searcher: LedgerSearcher,
        watcher: Watcher,
        interrupted: Callable[[], bool],
        lifeline: Lifeline,
    ) -> None:
        self._searcher, self._watcher, self._interrupted = searcher, watcher, interrupted
        self._lifeline = lifeline

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        """See Ray's `Callback.on_step_end`."""
        searcher = self._searcher
        if searcher.broken is not None:
            raise searcher.broken
        self._lifeline.check()
        if not self._interrupted():
            return
        if searcher.request is None:
            self._watcher.message(STOPPING)
            searcher.request = CheckpointRequest([task for _, task in searcher.running.values()])
        if searcher.request.over:
            raise KeyboardInterrupt

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its callbacks into a file that nobody reads
