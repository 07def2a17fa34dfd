"""The rejection report: a CSV file with a line for every row that cannot be used, and a summary in words."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from crystalformer.data.manifest import write_atomically
from crystalformer.sources.records import Rejection

COLUMNS = ("line", "id", "target", "reason")
NAMED = 3  # rejected crystals named in a message
KINDS = 8  # kinds of reasons in a summary


def write_report(path: Path, rejections: Sequence[Rejection]) -> None:
    """Write the report, or remove an earlier one if there is nothing to report.

    `target` is empty where the whole row is rejected. The file opens in any spreadsheet; ids that look like
    formulas are preceded by an apostrophe, as spreadsheets do.
    """
    if not rejections:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows((r.where, _inert(r.id), _inert(r.target), _inert(r.reason)) for r in rejections)
    write_atomically(path, text.getvalue().encode(errors="backslashreplace"))


def summary(rejections: Sequence[Rejection]) -> list[str]:
    """Lines that say how many rejections there are of each kind, the most frequent first, with an example."""
    kinds: dict[str, list[Rejection]] = {}
    for rejection in rejections:
        kinds.setdefault(_kind(rejection), []).append(rejection)
    counts = Counter({kind: len(members) for kind, members in kinds.items()}).most_common()
    lines = []
    for kind, count in counts[:KINDS]:
        first = kinds[kind][0]
        lines.append(f"{count:>7,} x {first.reason[:160]} ({first.where}, {first.id})")
    rest = sum(count for _, count in counts[KINDS:])
    return lines + ([f"{rest:>7,} x other reasons"] if rest else [])


def named(rejections: Sequence[Rejection]) -> str:
    """The first rejections, one a line, for a message."""
    lines = [f"  {r.id}: {r.where}: {r.reason}" for r in rejections[:NAMED]]
    more = len(rejections) - NAMED
    return "\n".join(lines + ([f"  and {more} more"] if more > 0 else []))


def _kind(rejection: Rejection) -> str:
    """The reason without what differs from crystal to crystal."""
    return re.sub(r"'[^']*'|-?\d[\d.,e+-]*|got .*", "#", rejection.reason)


def _inert(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "@", "\t", "\r") or text[:1] == "-" else text
