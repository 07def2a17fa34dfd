"""The whole report, written beside its place and put there at once: a failed build leaves the old report
as it was.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from reports import published
from reports.ablation.page import ablation_page
from reports.ablation.study import check_all_are_ablations
from reports.answer import answers
from reports.contents import contents
from reports.data_size.curve import check_all_take_part, size_curves
from reports.data_size.page import data_size_page
from reports.html import page
from reports.latex import latex_text
from reports.load import load
from reports.mae_table import build as build_table
from reports.render import csv_text, markdown_text, printed_tables
from reports.run_folder import ReportError, read_run_folder

# A folder with one of these is an older report, perhaps without files that a reader took away, and may be
# replaced; any other folder that holds something may not.
REPORT_FILES = (
    "mae_table.csv",
    "mae_table.md",
    "mae_table.tex",
    "ablation.csv",
    "ablation.md",
    "data_size.csv",
)


def build(runs: list[Path], out: Path) -> Path:
    """Writes the report of `runs` into the folder `out` and returns it.

    Files: index.html, mae_table.{md,tex,csv}, figures/*.png, and those of the sections, such as
    ablation.{md,csv} where a run is an ablation. The same run folders give the same files, byte for byte.
    Raises ReportError where the runs or `out` are unfit; then, and after any other failure, `out` is
    unchanged.
    """
    _check_replaceable(out.absolute())
    results = load(runs)
    table = build_table(results, published.load())
    tables = printed_tables(table, results)
    found = answers(table, results)

    def texts(figures: Path) -> dict[str, str]:
        sections = contents(results, table, figures)
        files = {
            "index.html": page(list(results.folders), found, sections),
            "mae_table.md": markdown_text(tables, found[0].headline),
            "mae_table.tex": latex_text(tables, found[0].headline),
            "mae_table.csv": csv_text(table),
        }
        return files | {name: text for section in sections for name, text in section.files.items()}

    return _write(out.absolute(), texts)


def build_ablation(runs: list[Path], out: Path) -> Path:
    """Writes the report of ablations alone into the folder `out` and returns it.

    Files: index.html, ablation.{md,csv}, figures/*.png. Otherwise as `build`; also raises ReportError where a
    run is no ablation.
    """
    _check_replaceable(out.absolute())
    results = load(runs)
    check_all_are_ablations(results)

    def texts(figures: Path) -> dict[str, str]:
        text, files = ablation_page(results, figures)
        return {"index.html": text} | files

    return _write(out.absolute(), texts)


def build_data_size(runs: list[Path], out: Path) -> Path:
    """Writes the errors of `runs` over the number of their training crystals into the folder `out`.

    Files: index.html, data_size.{md,csv}, figures/*.png. Otherwise as `build`; also raises ReportError where
    a run shares its target and test crystals with no run that was trained on another number of crystals.
    """
    _check_replaceable(out.absolute())
    folders = [read_run_folder(path) for path in runs]
    curves = size_curves(folders)
    check_all_take_part(folders, curves)
    return _write(out.absolute(), lambda figures: data_size_page(runs, curves, figures))


def _write(out: Path, texts: Callable[[Path], dict[str, str]]) -> Path:
    """Puts the files that `texts` gives, and the figures that it draws meanwhile, where `out` is."""
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        figures = fresh / "figures"
        figures.mkdir(parents=True)
        files = texts(figures)
        for name, text in files.items():
            (fresh / name).write_text(text, encoding="utf-8")
        _replace(fresh, out, {*files, "figures"})
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
