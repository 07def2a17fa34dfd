"""A process that converts records for `parallel`: `python -m crystalformer.sources.worker FD CELL 0 60`.

It reads chunks of records from the connection with this file descriptor and answers each record with a
`Crystal` or a `Rejection`, until the other end is closed: it cannot outlive its parent by more than one
record. A record that takes more than so many seconds of CPU time ends the process, whatever code it is in; so
may one that takes too much memory. The parent sees which it was.
"""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

from crystalformer.data.crystal import Crystal
from crystalformer.sources.records import Record, Rejection
from crystalformer.sources.structures import Rules, to_crystal

MEMORY = 6 << 30  # bytes of address space


def convert(record: Record, rules: Rules) -> Crystal | Rejection:
    """The record's crystal, or why there is none."""
    try:
        return to_crystal(record, rules)
    except ValueError as error:
        return Rejection(record.id, record.where, str(error))
    except MemoryError:
        return Rejection(record.id, record.where, "takes more memory than there is")


def main(arguments: Sequence[str]) -> int:
    """Serve until the connection ends."""
    connection, seconds = Connection(int(arguments[0])), float(arguments[3])
    rules = Rules(arguments[1], arguments[2] == "1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with contextlib.suppress(ValueError, OSError):  # not every system knows this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    _warm_up()
    try:
        while True:
            for record in connection.recv():
                signal.setitimer(signal.ITIMER_PROF, seconds)
                converted = convert(record, rules)
                signal.setitimer(signal.ITIMER_PROF, 0)
                connection.send(converted)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return 0


def _warm_up() -> None:
    """What takes seconds once should not be taken for a slow record."""
    import pymatgen.io.cif
    import pymatgen.symmetry.analyzer  # noqa: F401


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    sys.exit(main(sys.argv[1:]))
