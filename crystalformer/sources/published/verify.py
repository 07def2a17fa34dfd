"""Whether a file is the one the catalogue means: size and checksums, or else that it is whole."""

import gzip
import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

from crystalformer.data.datasets.row import SourceFile

CHUNK = 1 << 20


class Damaged(ValueError):
    """A file is not the published one, or not whole."""


def verified(file: SourceFile, path: Path) -> dict[str, Any]:
    """Size and SHA-256 of the file at `path`.

    Raises:
        Damaged: size or checksum is another; where the catalogue knows no checksum: an archive that does not
            unpack, or a page of a web site in place of the file.
    """
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise Damaged(f"expected {file.size} bytes, got {size}")
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
    for name, expected, found in (("SHA-256", file.sha256, sha256), ("MD5", file.md5, md5)):
        if expected is not None and found.hexdigest() != expected:
            raise Damaged(f"expected {name} {expected}, got {found.hexdigest()}")
    if file.sha256 is None and file.md5 is None:
        check_whole(path)
    return {"size": size, "sha256": sha256.hexdigest()}


def check_whole(path: Path) -> None:
    """Unpack an archive without keeping anything; look at the first bytes of other files.

    Raises:
        Damaged: it does not unpack, is empty, or is a web page.
    """
    with path.open("rb") as file:
        head = file.read(512).lstrip().lower()
    if not head:
        raise Damaged("expected a file, got an empty one")
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise Damaged("expected the file, got a web page")
    try:
        if head.startswith(b"pk"):
            with zipfile.ZipFile(path) as archive:
                wrong = archive.testzip()
            if wrong is not None:
                raise Damaged(f"expected a whole archive, got a damaged {wrong}")
        elif head.startswith(b"\x1f\x8b"):
            with gzip.open(path) as unpacked:
                while unpacked.read(CHUNK):
                    pass
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise Damaged(f"expected a whole archive, got an error: {error}") from None
