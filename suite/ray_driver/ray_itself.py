"""What Ray has no option for, changed in Ray itself: here alone, so that a newer one is easily tried."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray._private import services, worker
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

_PROCESS = "ConsolePopen"  # the class of the processes that Ray starts
_LOSS = "_actor_task_failed"  # where Tune hears how a call of a worker failed
_PRINT = "print_to_stdstream"  # prints what raylets report


def adapt() -> None:
    """Make the changes that hold for the whole process.

    A worker that Ray's monitor ends because its node runs short of memory, whoever takes it, raises an error
    that is no `RayActorError`: Tune would end the whole search. And raylets' reports of lost workers are
    dozens of lines each, where the search has one.
    """
    setattr(RayActorManager, _LOSS, _task_failed)
    setattr(worker, _PRINT, _nothing)


@contextmanager
def in_a_session_of_its_own() -> Iterator[None]:
    """Start Ray in it.

    `timeout`, terminals and batch systems send SIGTERM to whole process groups. The search answers by having
    its trials write their checkpoints, for which Ray has to live on until the search shuts it down. Where the
    search is killed, Ray ends as before: it asks the kernel for that.
    """
    plain = getattr(services, _PROCESS)
    setattr(services, _PROCESS, partial(plain, start_new_session=True))
    try:
        yield
    finally:
        setattr(services, _PROCESS, plain)


_plainly_failed = getattr(RayActorManager, _LOSS)


def _task_failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
    if isinstance(exception, OutOfMemoryError):
        exception = RayActorError(error_msg=str(exception))
    _plainly_failed(manager, tracked_actor_task, exception)


def _nothing(*args: Any, **settings: Any) -> None:
    pass
