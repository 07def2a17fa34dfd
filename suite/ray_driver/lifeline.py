"""`Lifeline`: is the raylet alive that a search hangs on? Ray's calls wait for ever where it is not.

A search is a process of one node of a cluster, and reaches the others through that node's raylet. (Ray itself
looks after the other process that everything needs, the head's GCS: a minute after it was lost, it ends the
search with exit code 1.)
"""

import time
from collections.abc import Callable

import ray

from suite.broken import SearchBroken

_EVERY_S = 2.0


class Lifeline:
    """Looks at it every other second, when it is asked; to be made in the session that it is about.

    Args:
        interrupted: whether the search was asked to stop. Where every process of a job is sent the signal, as
            systemd does, Ray's end with it.
    """

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted
        self._node = ray.get_runtime_context().get_node_id()
        self._next = 0.0

    def check(self) -> None:
        """Look, if it is time to.

        Raises:
            SearchBroken: it is gone.
            KeyboardInterrupt: it is gone and the search was asked to stop.
        """
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + _EVERY_S
        if not any(node["NodeID"] == self._node and node["Alive"] for node in ray.nodes()):
            if self._interrupted():
                raise KeyboardInterrupt
            raise SearchBroken("Ray's process on this machine (raylet) is gone")
