"""Keep the memory of large tensors instead of fetching it from the system for every operation.

The C library of Linux (glibc) maps each allocation above 32 MiB anew and gives it back when it is freed, so
that every large tensor is paid for twice: once in page faults, once in work. On edge features of 40 MB the
faults cost ten times the sum over them. The peak of memory stays the same; it is kept until the process ends.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed memory for the rest of this process; False where there is no glibc.

    To be called by programs that train, before the first large tensor; a library has no say in this.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # One arena: those of other threads cannot grow beyond 64 MiB and would map large blocks all the same.
    options = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_ARENA_MAX, 1))
    accepted = [mallopt(option, value) == 1 for option, value in options]
    return all(accepted)
