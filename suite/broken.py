"""Faults that end a search rather than a trial: a full disk, a study whose storage is gone.

They say nothing of a configuration, and nothing can be recorded until somebody mends them.
"""

import errno

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
# Other libraries' errors keep the system's message, but not its number.
_DISK_SIGNS = ("no space left on device", "disk quota exceeded", "disk is full", "disk i/o error")


class SearchBroken(RuntimeError):
    """The search cannot go on until a fault outside of it is mended; what is recorded is safe."""


def disk_fault(error: BaseException | None) -> str | None:
    """What is wrong with the disk, in a line, where an error comes from that; else None."""
    while error is not None:
        text = str(error)
        if getattr(error, "errno", None) in _DISK or any(sign in text.lower() for sign in _DISK_SIGNS):
            return f"the disk: {text.strip().splitlines()[0]}: make space, or mend it"
        error = error.__cause__ or error.__context__
    return None
