"""The whole report, written beside its place and put there at once: a failed build leaves the old report
as it was.
"""

import os
import shutil
from pathlib import Path

from reports import published
from reports.answer import answers
from reports.figures import draw_all
from reports.html import page
from reports.latex import latex_text
from reports.load import load
from reports.mae_table import build as build_table
from reports.render import csv_text, markdown_text, printed_tables
from reports.run_folder import ReportError

# A folder with one of these is an older report, perhaps without files that a reader took away, and may be
# replaced; any other folder that holds something may not.
REPORT_FILES = ("mae_table.csv", "mae_table.md", "mae_table.tex")


def build(runs: list[Path], out: Path) -> Path:
    """Writes the report of `runs` into the folder `out` and returns it.

    Files: index.html, mae_table.{md,tex,csv}, figures/*.png. The same run folders give the same files, byte
    for byte. Raises ReportError where the runs or `out` are unfit; then, and after any other failure, `out`
    is unchanged.
    """
    out = out.absolute()
    _check_replaceable(out)
    results = load(runs)
    table = build_table(results, published.load())
    tables = printed_tables(table, results)
    found = answers(table, results)[0]
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        fresh.mkdir()
        pictures = draw_all(results, table, fresh / "figures")
        texts = {
            "index.html": page(results, table, tables, pictures),
            "mae_table.md": markdown_text(tables, found.headline),
            "mae_table.tex": latex_text(tables, found.headline),
            "mae_table.csv": csv_text(table),
        }
        for name, text in texts.items():
            (fresh / name).write_text(text, encoding="utf-8")
        _replace(fresh, out, {*texts, "figures"})
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return out


def _check_replaceable(out: Path) -> None:
    if out.is_file():
        raise ReportError(f"{out}: is a file; expected a folder for the report")
    if out.is_dir() and any(out.iterdir()) and not any((out / name).is_file() for name in REPORT_FILES):
        raise ReportError(
            f"{out}: holds files that are not a report's; expected a new or empty folder or an older report"
        )


def _replace(fresh: Path, out: Path, written: set[str]) -> None:
    """Puts `fresh` where `out` is. Files that somebody else laid into the old report move over."""
    if not out.exists():
        fresh.rename(out)
        return
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    out.rename(old)
    try:
        fresh.rename(out)
    except OSError:
        old.rename(out)
        raise
    for entry in old.iterdir():
        if entry.name not in written:
            entry.rename(out / entry.name)
    shutil.rmtree(old)
