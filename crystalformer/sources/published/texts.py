"""The text of a published file, whether zipped, gzipped or plain, and lists of JSON read in pieces.

The largest files have gigabytes of text, so nothing here holds a whole one. Python's decoder reads each
element, since published files hold NaN, which stricter parsers refuse.
"""

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

from crystalformer.sources.records import DataError

CHUNK = 1 << 20  # characters
DECODE = json.JSONDecoder().raw_decode


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """The text inside, recognised by the file's first bytes, not by its name.

    Raises:
        DataError: while reading too: no text in UTF-8, or a damaged or incomplete archive.
    """
    try:
        with _open_bytes(path) as file:
            yield io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a whole file in UTF-8, got {error}") from None


@contextmanager
def _open_bytes(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(b"PK"):
            with zipfile.ZipFile(file) as archive, archive.open(_only_member(archive, path)) as member:
                yield member
        elif magic.startswith(b"\x1f\x8b"):
            with gzip.open(file) as unzipped:
                yield unzipped  # type: ignore[misc]
        else:
            yield file


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [
        info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith("__MACOSX/")
    ]
    if len(members) != 1:
        raise DataError(f"{path}: expected one file inside, got {len(members)}")
    return members[0]


def json_elements(text: TextIO, path: Path, key: str | None = None) -> Iterator[Any]:
    """The elements of a JSON list: of the whole text, or of the entry `key` of an object.

    Of an object, the entries before `key` are yielded first, together, as one dict.

    Raises:
        DataError: the text is something else, or ends too early.
    """
    pieces = _Pieces(text)
    try:
        if key is not None:
            yield _entries_before(pieces, key)
        pieces.take("[")
        more = pieces.next() != "]"
        while more:
            yield pieces.value()
            more = pieces.next() == ","
            if more:
                pieces.take(",")
        pieces.take("]")
        if key is None and pieces.next():
            raise ValueError("more text after the list")
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: expected a list of crystals in JSON, got an error: {error}") from None


def _entries_before(pieces: "_Pieces", key: str) -> dict[str, Any]:
    pieces.take("{")
    entries: dict[str, Any] = {}
    while True:
        name = pieces.value()
        if not isinstance(name, str):
            raise ValueError(f"expected the name of an entry, got {name!r:.80}")
        pieces.take(":")
        if name == key:
            return entries
        entries[name] = pieces.value()
        if pieces.next() == "}":
            raise ValueError(f"expected the entry {key!r}, got {', '.join(map(repr, entries))} only")
        pieces.take(",")


class _Pieces:
    """JSON values and the characters between them, read from a stream."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._buffer = ""
        self._at = 0
        self._whole = False  # the stream is at its end

    def next(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at].isspace():
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> None:
        """Pass over one character."""
        found = self.next()
        if found != expected:
            raise ValueError(f"expected {expected!r}, got {found!r}" if found else "the text ends too early")
        self._at += 1

    def value(self) -> Any:
        """The next value, whole: one that reaches to the end of what was read may go on behind it."""
        self.next()
        while True:
            try:
                value, end = DECODE(self._buffer, self._at)
            except ValueError:
                if not self._more():
                    raise
                continue
            if end < len(self._buffer) or not self._more():
                self._at = end
                return value

    def _more(self) -> bool:
        """Read on, at least as much as is waiting, so that a long value is not tried again too often."""
        if self._whole:
            return False
        waiting = self._buffer[self._at :]
        chunk = self._text.read(max(CHUNK, len(waiting)))
        self._whole = not chunk
        self._buffer, self._at = waiting + chunk, 0
        return bool(chunk)
