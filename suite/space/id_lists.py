"""Lists of ids in a search space: written there, or in a file it names.

A file has one id a line (`.txt`), or is JSON: a list of ids, or an object whose keys they are. It may be
gzipped (`.gz`).
"""

import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from suite.space.node import Node
from suite.space.paths import found_path

WHAT = "a list of ids, or a file of them (.txt with an id a line, .json; either also .gz)"


@dataclass(frozen=True)
class IdList:
    """Ids of crystals, each once, where they are from, and the SHA-256 of the ids."""

    source: str
    ids: tuple[str, ...] = field(repr=False)
    sha256: str


def id_list(node: Node, folder: Path) -> IdList:
    """The ids of a node.

    Raises:
        SpaceError: no such file, another form, an empty list, or an id twice.
    """
    if isinstance(node.value, list):
        source, ids = "the search space", [entry.text("an id") for entry in node.distinct(WHAT)]
    else:
        path = found_path(node, WHAT, folder)
        source, ids = path.name, _read(path, node)
    ids = [id_.strip() for id_ in ids]
    if not ids:
        node.fail(f"expected at least one id, got none in {source}")
    if len(set(ids)) < len(ids):
        twice = next(id_ for id_ in ids if ids.count(id_) > 1)
        node.fail(f"expected every id once, got {twice!r} more than once in {source}")
    return IdList(source, tuple(ids), hashlib.sha256("\n".join(ids).encode()).hexdigest())


def _read(path: Path, node: Node) -> list[str]:
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix.lower() == ".gz" else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        node.fail(f"expected {WHAT}, got {path.name}, which cannot be read: {error}")
    if not path.name.lower().removesuffix(".gz").endswith(".json"):
        return [line for line in text.splitlines() if line.strip()]
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        node.fail(f"expected {WHAT}, got {path.name}, which is not JSON: {error}")
    if not isinstance(entries, list | dict) or not all(isinstance(entry, str) for entry in entries):
        node.fail(f"expected a JSON list of ids in {path.name}, got something else")
    return list(entries)
