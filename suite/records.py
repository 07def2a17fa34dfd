"""Files of a results folder: written whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crystalformer.durable import to_disk


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, replacing the file in one step."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text`, replacing the file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_table(path: Path, rows: list[dict]) -> None:
    """Write rows as parquet, replacing the file in one step.

    A column that holds several types (`lattice_range` may be 1 or adaptive) is stored as text.
    """
    import pandas as pd  # slow to import, and needed here alone

    frame = pd.DataFrame(rows)
    for name in frame.columns:
        kinds = {type(value) for value in frame[name] if value is not None and value == value}
        if len(kinds) > 1 and kinds != {int, float}:
            frame[name] = [None if value is None or value != value else str(value) for value in frame[name]]
    if "parameters" in frame:
        frame["parameters"] = frame["parameters"].astype("Int64")
    with replacing(path) as partial:
        frame.to_parquet(partial, index=False)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file that takes the place of `path`, being on the disk, when the context ends well, and else goes."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        to_disk(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
