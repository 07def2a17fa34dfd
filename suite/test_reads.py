"""The log of the test split: a line for every time a final run opens it, kept in the run's own folder."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

TEST_READS = "test_reads.jsonl"


def log_test_read(folder: Path, split: str) -> str:
    """Note that the run in `folder` opens the test part of the split of this hash; gives the time, in UTC.

    The line is on disk before a test label is in memory, so that a run which breaks off afterwards, and is
    done again, shows both reads.
    """
    read_at = datetime.now(UTC).isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TEST_READS).open("a+b") as file:
        file.seek(0)
        # A line that broke off stands for a read that did not come about.
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps({"read_at": read_at, "split_hash": split}).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return read_at


def keep_earlier_reads(earlier: Path, folder: Path) -> None:
    """Put the reads of `earlier`, a run that `folder` replaces, before its own."""
    log = folder / TEST_READS
    before = earlier / TEST_READS
    if before.is_file():
        own = log.read_text(encoding="utf-8") if log.is_file() else ""
        log.write_text(before.read_text(encoding="utf-8") + own, encoding="utf-8")
