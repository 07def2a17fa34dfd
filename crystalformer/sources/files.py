"""Files of a data set: text from plain or gzipped ones, and paths that stay inside a folder."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from crystalformer.sources.records import DataError

MAX_STRUCTURE_BYTES = 20_000_000  # of one crystal; a CIF of the largest cell that is read has 1 MB


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """The text of a file, gzipped if its name ends so; a byte-order mark is dropped.

    Bytes that are no UTF-8 come as lone surrogates, see `undecodable`, so that they spoil one row only.

    Raises:
        DataError: the file cannot be read or unpacked, now or while it is read.
    """
    open_ = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with open_(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a whole gzipped file, got {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def read_structure_file(path: Path) -> str:
    """The text of one structure's file.

    Raises:
        ValueError: it is too large, not whole, or not UTF-8.
    """
    open_ = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with open_(path, "rb") as file:
            content = file.read(MAX_STRUCTURE_BYTES + 1)
    except (EOFError, zlib.error, OSError) as error:
        raise ValueError(f"expected a whole file, got {error}") from None
    if len(content) > MAX_STRUCTURE_BYTES:
        raise ValueError(f"expected at most {MAX_STRUCTURE_BYTES // 10**6} MB for a crystal, got more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"expected text in UTF-8, got the byte 0x{content[error.start]:02x} in line {line} of {path.name}"
        ) from None


def undecodable(text: str) -> str | None:
    """What is wrong with a text whose bytes were no UTF-8, or None."""
    if text.isascii():
        return None
    for character in text:
        if "\ud800" <= character <= "\udfff":
            byte = (
                f"the byte 0x{ord(character) - 0xDC00:02x}" if character >= "\udc80" else "half a character"
            )
            return f"expected text in UTF-8, got {byte}"
    return None


def inside(folder: Path, name: str) -> Path:
    """The path of a file that a table names, below the (resolved) folder of the table.

    Raises:
        ValueError: an empty or absolute name, one with `..`, or a link that leads out of the folder.
    """
    if not name.strip():
        raise ValueError("expected a file name, got an empty cell")
    if not name.isprintable():
        raise ValueError(f"expected a file name, got {name[:80]!a}")
    relative = Path(name)
    try:
        resolved = (folder / relative).resolve()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"expected a file name, got {name[:80]!r} ({error})") from None
    if relative.is_absolute() or ".." in relative.parts or not resolved.is_relative_to(folder):
        raise ValueError(f"expected a path inside the folder of the table, without .., got {name[:80]!r}")
    return resolved


def is_file(path: Path) -> bool:
    """Whether there is a regular file; a name too long for any is not one."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
