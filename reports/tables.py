"""`python -m reports.tables [RESULTS] [--readme FILE] [--check]`: every committed table, built again.

Goes through the run folders in RESULTS (default: results), writes the tables of each into its `report`, and
the summary of all into the README, between two marks; its pictures lie in RESULTS. A file that says the same
is left alone: text for text, numbers within what rounding in a sum explains on another machine, pictures
within what another version draws. With `--check` nothing is written, and each difference is an error.
"""

import argparse
import csv
import io
import sys
from itertools import zip_longest
from pathlib import Path

import numpy as np
from PIL import Image

from reports.readme import MarkError, with_summary
from reports.run_folder import TOLERANCE, ReportError, read_run_folder
from reports.table_files import table_files

MOST_SHOWN = 20
PICTURE_TOLERANCE = 0.05  # mean difference of grey values, of 255; a line drawn elsewhere makes more


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, or nothing differs; 1 something does; 2 the input is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.tables", description="Build the tables of committed results again."
    )
    parser.add_argument("results", metavar="RESULTS", nargs="?", type=Path, default=Path("results"))
    parser.add_argument("--readme", metavar="FILE", type=Path, default=Path("README.md"))
    parser.add_argument("--check", action="store_true", help="write nothing; fail where something differs")
    options = parser.parse_args(arguments)
    try:
        wanted = rebuilt(options.results, options.readme)
    except (ReportError, MarkError) as error:
        print(f"reports.tables: {error}", file=sys.stderr)
        return 2
    if not options.check:
        stale = {path: content for path, content in wanted.items() if _differences(path, content)}
        for path, content in stale.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        print(f"{len(stale)} of {len(wanted)} files written; the others say the same")
        return 0
    found = differences(wanted, options.results)
    for difference in found[:MOST_SHOWN]:
        print(difference, file=sys.stderr)
    if found:
        print(f"{len(found)} differences; python -m reports.tables writes the files again", file=sys.stderr)
    return 1 if found else 0


def run_folders(results: Path) -> list[Path]:
    """The published run folders, by name; none where there is no such folder."""
    return sorted(path.parent for path in results.glob("*/search.json"))


def rebuilt(results: Path, readme: Path) -> dict[Path, str | bytes]:
    """Place -> content of every file that is generated from the results."""
    folders = [read_run_folder(path) for path in run_folders(results)]
    files: dict[Path, str | bytes] = {
        folder.path / "report" / name: text
        for folder in folders
        for name, text in table_files([folder]).items()
    }
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise MarkError(f"{readme}: unreadable: {error}") from error
    return files | with_summary(text, results, folders, readme)


def differences(wanted: dict[Path, str | bytes], results: Path) -> list[str]:
    """What the files say beside what they should; a file that is not there, or that nothing makes, is one."""
    found = [each for path, content in wanted.items() for each in _differences(path, content)]
    reports = {path.parent for path in wanted if path.parent.name == "report"}
    present = {path for folder in reports for path in folder.iterdir() if path.is_file()}
    present |= set(results.glob("*.png"))  # of the summary
    return found + [f"{path}: made by nothing" for path in sorted(present - set(wanted))]


def _differences(path: Path, content: str | bytes) -> list[str]:
    if not path.is_file():
        return [f"{path}: no such file"]
    if isinstance(content, bytes):
        return [] if _looks_like(path, content) else [f"{path}: another picture"]
    return [f"{path}: {each}" for each in _compare(path, path.read_text(encoding="utf-8"), content)]


def _looks_like(path: Path, content: bytes) -> bool:
    """Whether a picture is the same but for shades at the edges of lines and letters."""
    stated, found = (Image.open(file).convert("L") for file in (path, io.BytesIO(content)))
    if stated.size != found.size:
        return False
    apart = np.abs(np.asarray(stated, dtype=float) - np.asarray(found, dtype=float))
    return bool(apart.mean() < PICTURE_TOLERANCE)


def _compare(path: Path, stated: str, found: str) -> list[str]:
    if stated == found:
        return []
    if path.suffix != ".csv":
        pairs = enumerate(zip_longest(stated.splitlines(), found.splitlines()), start=1)
        return [f"line {n}: stated {one!r}, found {other!r}" for n, (one, other) in pairs if one != other]
    before, after = (list(csv.reader(io.StringIO(text))) for text in (stated, found))
    rows = zip_longest(before, after, fillvalue=list[str]())
    return [
        f"row {number}, column {column}: stated {one!r}, found {other!r}"
        for number, cells in enumerate(rows, start=1)
        for column, (one, other) in enumerate(zip_longest(*cells), start=1)
        if one != other and not _close(one, other)
    ]


def _close(one: str | None, other: str | None) -> bool:
    try:
        first, second = float(one or "x"), float(other or "x")
    except ValueError:
        return False
    return abs(first - second) <= TOLERANCE * max(1.0, abs(second))


if __name__ == "__main__":
    sys.exit(main())
