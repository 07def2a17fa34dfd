"""SIGTERM ends a command the way Ctrl-C does."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from suite.command_line import INTERRUPTED


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into `KeyboardInterrupt` while the context lasts.

    To be entered again after anything that installs handlers of its own, as Ray does when it starts.
    """
    with _handled(_interrupt):
        yield


@contextmanager
def interrupt_noted() -> Iterator[Callable[[], bool]]:
    """Only note the first SIGTERM or SIGINT while the context lasts; the second is a `KeyboardInterrupt`.

    Gives a function that says whether there was one. Whoever asks it is to end with `KeyboardInterrupt` soon.
    """
    signals: list[int] = []

    def note(number: int, frame: object) -> None:
        if signals:
            raise KeyboardInterrupt
        signals.append(number)

    with _handled(note):
        yield lambda: bool(signals)


@contextmanager
def ended_at_once() -> Iterator[None]:
    """SIGTERM and SIGINT end the process without a word while the context lasts.

    For the time before anything has been done that could be lost: libraries that are being loaded, and Numba
    while it compiles, have functions called from C, which can only print an exception and go on.
    """
    with _handled(_end):
        yield


@contextmanager
def _handled(handler: Callable[[int, object], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _end(number: int, frame: object) -> NoReturn:
    os._exit(INTERRUPTED)
