"""Ray's processes in a session of their own, out of reach of signals to the search's process group."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ray._private import services

_CLASS = "ConsolePopen"  # what Ray starts its processes with; it has no option for this


@contextmanager
def in_a_session_of_its_own() -> Iterator[None]:
    """Start Ray in it.

    `timeout`, terminals and batch systems send SIGTERM to whole process groups. The search answers by having
    its trials write their checkpoints, for which Ray has to live on until the search shuts it down. Where the
    search is killed, Ray ends as before: it asks the kernel for that.
    """
    plain = getattr(services, _CLASS)
    setattr(services, _CLASS, partial(plain, start_new_session=True))
    try:
        yield
    finally:
        setattr(services, _CLASS, plain)
