"""SIGTERM ends a search the way Ctrl-C does."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into `KeyboardInterrupt` while the context lasts.

    To be entered again after anything that installs handlers of its own, as Ray does when it starts.
    """
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
