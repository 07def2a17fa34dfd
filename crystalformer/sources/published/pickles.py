"""Matformer's moduli: pickled lists of records in JARVIS' format, read without running what a pickle can.

A pickle is a program. This reader lets it build lists, dicts, texts, numbers, and NumPy's numbers and arrays
of numbers; whatever else it names is refused before it is imported.
"""

import pickle
import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, NoReturn

from crystalformer.data.datasets.row import Part
from crystalformer.sources.published.jarvis import entry_record
from crystalformer.sources.records import DataError, Record

FORMATS = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "u1": "B"}  # NumPy's names -> those of struct


class _Dtype:
    """Stands for a NumPy type of numbers."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        if code not in FORMATS:
            raise pickle.UnpicklingError(f"expected numbers, got the NumPy type {code!r:.40}")
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple) -> None:
        if state[1] not in ("<", ">", "|"):
            raise pickle.UnpicklingError(f"expected an order of bytes, got {state[1]!r:.40}")
        self.order = "<" if state[1] == "|" else state[1]

    def numbers(self, content: bytes | str, count: int) -> tuple:
        data = content.encode("latin-1") if isinstance(content, str) else content
        return struct.unpack(f"{self.order}{count}{FORMATS[self.code]}", data)


class _Array:
    """Stands for a NumPy array; iterates like the nested list."""

    __slots__ = ("values",)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, by_column, content = state
        self.fill(content, dtype, shape, by_column)

    def fill(self, content: bytes | str, dtype: object, shape: tuple, by_column: bool) -> None:
        if not isinstance(dtype, _Dtype) or by_column:
            raise pickle.UnpicklingError("expected an array of numbers, row by row")
        flat: list = list(dtype.numbers(content, prod(shape)))
        for length in reversed(shape[1:]):
            flat = [flat[start : start + length] for start in range(0, len(flat), max(length, 1))]
        self.values = flat

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Any:
        return self.values[index]


class _Maker:
    """A callable without attributes, so that a pickle has nothing to change on it."""

    __slots__ = ()


class _MakeDtype(_Maker):
    __slots__ = ()

    def __call__(self, code: str, *_: object) -> _Dtype:
        return _Dtype(code)


class _MakeNumber(_Maker):
    __slots__ = ()

    def __call__(self, dtype: _Dtype, content: bytes | str) -> float | int:
        return dtype.numbers(content, 1)[0]


class _MakeArray(_Maker):
    __slots__ = ()

    def __call__(self, *_: object) -> _Array:
        return _Array()


class _FillArray(_Maker):  # how protocol 5 writes arrays
    __slots__ = ()

    def __call__(self, content: bytes, dtype: object, shape: tuple, order: str) -> _Array:
        array = _Array()
        array.fill(content, dtype, shape, order != "C")
        return array


class _MakeBytes(_Maker):  # how protocol 2 writes bytes
    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        return str.encode(text, "latin-1")


class _Nothing(_Maker):  # numpy.ndarray, which is an argument only
    __slots__ = ()

    def __call__(self, *_: object) -> NoReturn:
        raise pickle.UnpicklingError("expected numbers, got an array made by its class")


ALLOWED: dict[tuple[str, str], _Maker] = {
    ("numpy", "dtype"): _MakeDtype(),
    ("numpy", "ndarray"): _Nothing(),
    ("_codecs", "encode"): _MakeBytes(),
    **{(f"numpy.{core}.multiarray", "scalar"): _MakeNumber() for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _MakeArray() for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FillArray() for core in ("core", "_core")},
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"expected lists, dicts, texts and numbers, got {module}.{name}"
            ) from None


def plain(path: Path) -> Any:
    """The lists, dicts, texts and numbers of a pickle.

    Raises:
        DataError: it is none, is damaged, or asks for anything else.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file, encoding="latin-1").load()
    except Exception as error:  # a damaged pickle raises errors of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path}: expected a pickle of plain lists and numbers, got an error: {reason[:200]}"
        ) from None


def read_pickle(path: Path, part: Part, label: str | None) -> Iterator[Record]:
    """The records of a file, in its order.

    Raises:
        DataError: another format.
    """
    entries = plain(path)
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected a list of crystals, got {type(entries).__name__}")
    for index, entry in enumerate(entries, start=1):
        yield entry_record(entry, part, label, f"{path.name}, record {index}")
