"""What Ray has no option for, changed in Ray itself: here alone, so that a newer one is easily tried."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray._private import parameter, services, worker
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

_PROCESS = "ConsolePopen"  # the class of the processes that Ray starts
_PARAMETERS = "RayParams"  # what decides which processes these are
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
    """Start Ray in it, without processes that a session on one machine has no use for.

    `timeout`, terminals and batch systems send SIGTERM to whole process groups. The search answers by having
    its trials write their checkpoints, for which Ray has to live on until the search shuts it down. Where the
    search is killed, Ray ends as before: it asks the kernel for that.

    Nothing adds nodes here, which the monitor is for, and nobody reads what the log monitor sends; both would
    take time from the trials, the latter with every file in Ray's folder of logs, several times a second.
    """
    process, parameters = getattr(services, _PROCESS), getattr(parameter, _PARAMETERS)
    setattr(services, _PROCESS, partial(process, start_new_session=True))
    setattr(parameter, _PARAMETERS, partial(parameters, no_monitor=True, include_log_monitor=False))
    try:
        yield
    finally:
        setattr(services, _PROCESS, process)
        setattr(parameter, _PARAMETERS, parameters)


_plainly_failed = getattr(RayActorManager, _LOSS)


def _task_failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
    if isinstance(exception, OutOfMemoryError):
        exception = RayActorError(error_msg=str(exception))
    _plainly_failed(manager, tracked_actor_task, exception)


def _nothing(*args: Any, **settings: Any) -> None:
    pass
