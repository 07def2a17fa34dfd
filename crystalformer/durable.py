"""Files that are on the disk, not only in the system's memory: a power failure leaves them as they are.

A file that takes another's place must be on the disk before it does. Some file systems else keep the new name
and lose the content, which leaves an empty file or one of zeros.
"""

import os
from pathlib import Path


def to_disk(path: Path) -> None:
    """Wait until the content of the file at `path` is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def folder_to_disk(folder: Path) -> None:
    """The same for every file in a folder, and for their names."""
    for path in sorted(folder.iterdir()):
        if path.is_file():
            to_disk(path)
    to_disk(folder)
