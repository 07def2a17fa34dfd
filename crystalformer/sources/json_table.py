"""JSON: a list of crystals (`.json`), or one object a line (`.jsonl`).

An object has its columns as keys; its targets are those of the object `targets` or, without that, all other
numbers. A line that is no object is a rejected crystal; a list that is malformed cannot be read at all.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from crystalformer.sources.columns import Columns, number_of
from crystalformer.sources.files import open_text, undecodable
from crystalformer.sources.records import DataError, Reading, Rejection, Row, is_missing

_BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class JsonTable:
    """A JSON file; see `tables.Table`."""

    path: Path
    in_folder: bool

    def read(self) -> Reading:
        """One pass. The number of crystals is known where each has a line."""
        return Reading((_row(self, *entry) for entry in self._entries()), self._count())

    def files(self) -> Iterator[Path]:
        """The structure files that the crystals name."""
        for _, _, entry in self._entries():
            if isinstance(entry, dict):
                try:
                    columns = self.columns(entry)
                except ValueError:
                    continue
                if (file := columns.file_of(entry)) is not None:
                    yield file

    def columns(self, entry: dict[str, Any]) -> Columns:
        """The meaning of one object's keys."""
        names = tuple(name for name in entry if name != "targets")
        return _columns(names, self._folder, self.in_folder)

    @cached_property
    def _folder(self) -> Path:
        return self.path.parent.resolve()

    def _entries(self) -> Iterator[tuple[int, str, Any]]:
        """Number, place and value of each crystal; a text where there is no JSON value."""
        yield from _lines(self.path) if _has_lines(self.path) else _list(self.path)

    def _count(self) -> int | None:
        if not _has_lines(self.path):
            return None
        with open_text(self.path) as file:
            return sum(1 for line in file if line.strip())


# Objects share their keys, as a rule: finding what they mean anew for each took longer than parsing it.
_columns = lru_cache(maxsize=64)(Columns.of)


def open_table(path: Path, in_folder: bool) -> JsonTable:
    """A JSON file; what is wrong with it is found when it is read."""
    return JsonTable(path, in_folder)


def _row(table: JsonTable, number: int, where: str, entry: Any) -> Row:
    name = f"row-{number + 1}"
    if isinstance(entry, ValueError):
        return Rejection(name, where, str(entry))
    if not isinstance(entry, dict):
        return Rejection(name, where, f"expected an object, got {entry!r:.80}")
    given = entry.get("targets")
    if given is not None and not isinstance(given, dict):
        return Rejection(name, where, f"targets: expected an object of name and value, got {given!r:.80}")
    entry = {key: value for key, value in entry.items() if not (value is None and key in ("id", "split"))}
    try:
        columns = table.columns(entry)
    except ValueError as error:
        return Rejection(name, where, str(error))
    if given is not None:
        return columns.row(number, where, {**entry, **_as_numbers(given)}, given)
    numbers = [key for key in columns.others if number_of(entry[key]) is not None or _is_float(entry[key])]
    return columns.row(number, where, entry, [key for key in numbers if not isinstance(entry[key], str)])


def _as_numbers(targets: dict[str, Any]) -> dict[str, Any]:
    """JSON has numbers; a text is none, even if it looks like one, but may stand for a missing value."""
    return {
        name: [value] if isinstance(value, str) and not is_missing(value) else value
        for name, value in targets.items()
    }


def _is_float(value: Any) -> bool:
    return isinstance(value, float)  # infinity, which Python reads


def _has_lines(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".jsonl")


def _lines(path: Path) -> Iterator[tuple[int, str, Any]]:
    with open_text(path) as file:
        number = -1
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            number += 1
            try:
                if problem := undecodable(text):
                    raise ValueError(problem)
                entry = json.loads(text)
            except (ValueError, RecursionError) as error:
                entry = ValueError(f"expected a JSON object, got an error: {error}")
            yield number, f"line {line}", entry


def _list(path: Path) -> Iterator[tuple[int, str, Any]]:
    """The elements of a list, read one after the other, so that only the text is in memory as a whole."""
    with open_text(path) as file:
        text = file.read()
    start = re.match(r"\s*\[", text)
    if start is None:
        raise DataError(f"{path}: expected a JSON list of crystals, got {text[:40].strip()!a}")
    decoder = json.JSONDecoder()
    at = _BETWEEN.match(text, start.end()).end()  # type: ignore[union-attr]
    number = 0
    while at < len(text) and text[at] != "]":
        try:
            entry, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, entry {number + 1}: expected JSON, got an error: {error}") from None
        yield number, f"entry {number + 1}", entry
        number += 1
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
    if at >= len(text) or text[at + 1 :].strip():
        raise DataError(f"{path}: expected JSON that ends with the list, got more or less than that")
