"""Names that become part of a path: made of what people call a target, checked where records give them."""

import hashlib
import re

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_LONGEST = 60  # a file system allows 255 bytes, and more is put around it


def in_file_names(target: str) -> str:
    """A target's name as a part of file names: itself where that can be, else what of it can, and a digest.

    Columns are called `energy (eV/atom)`, too, and two targets must not become one.
    """
    if _PLAIN.fullmatch(target) and len(target) <= _LONGEST:
        return target
    words = re.sub(r"[^A-Za-z0-9]+", "_", target).strip("_")[:_LONGEST]
    return f"{words or 'target'}-{hashlib.sha256(target.encode()).hexdigest()[:6]}"


def plain_name(what: str, name: object) -> str:
    """A name from a record, which is to be that of a file or folder and no path.

    Raises:
        ValueError: it is something else, so that the record is not one of ours.
    """
    if isinstance(name, str) and _PLAIN.fullmatch(name):
        return name
    raise ValueError(f"{what}: expected a name without a path, got {str(name)[:80]!r}")
