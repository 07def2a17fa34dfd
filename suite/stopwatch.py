"""`Stopwatch`: how long something took in all."""

import time


class Stopwatch:
    """Seconds over several sessions and stretches of time."""

    def __init__(self, before: float, running: bool = False) -> None:
        self._before = before
        self._started = time.monotonic() if running else None

    @property
    def seconds(self) -> float:
        """All so far, in s."""
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def start(self) -> None:
        """Begin a stretch."""
        self._started = time.monotonic()

    def stop(self) -> None:
        """End it."""
        self._before, self._started = self.seconds, None
