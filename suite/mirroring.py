"""`mirroring`: a mirror kept up to date while a search runs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from suite.broken import SearchBroken
from suite.mirror import MIRROR_ERRORS, Mirror, MirrorError

EVERY_S = 60.0
_COST = 20  # a pause is at least this many times what writing took


@contextmanager
def mirroring(mirror: Mirror | None, folder: Path) -> Iterator[None]:
    """Write the folder to the mirror every minute, in a thread of its own, and whatever happens at the end.

    What fails on the way is tried again with the next time; the last one must succeed.
    """
    if mirror is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_keep, args=(mirror, folder, over), daemon=True, name="mirror")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        try:
            mirror.push(folder)
        except (*MIRROR_ERRORS, MirrorError) as error:
            line = str(error).strip().splitlines()[0]
            raise SearchBroken(f"{mirror.shown}: the last state is not there ({line})") from error


def _keep(mirror: Mirror, folder: Path, over: threading.Event) -> None:
    pause = EVERY_S
    while not over.wait(pause):
        started = time.monotonic()
        try:
            mirror.push(folder)
        except (*MIRROR_ERRORS, MirrorError):
            pause = EVERY_S
        else:
            pause = max(EVERY_S, _COST * (time.monotonic() - started))
