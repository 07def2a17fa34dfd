"""The section that keeps nothing back: what failed, what is missing, what a reader should know."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reports.load import Results
from reports.mae_table import MaeTable
from reports.run_folder import RunFolder
from reports.sections import Block, Bullets, Failure, Paragraph, Section


def failures_section(results: Results, table: MaeTable, figures: Path) -> Section:
    """All failures and gaps of every search, and the notes."""
    blocks: list[Block] = []
    for name, folder in results.folders.items():
        found = [*_failures(folder), *_missing(name, results)]
        nothing = f"{name}: no failed trial or run was recorded, and no final run is missing."
        blocks += found or [Paragraph(nothing)]
    if results.notes:
        blocks.append(Bullets(results.notes))
    return Section("failures", "Failures", "Failures and notes", blocks)


def _failures(folder: RunFolder) -> Iterator[Failure]:
    for failure in folder.search.get("failures") or ():
        yield Failure(_subject(failure), str(failure.get("reason") or "no reason given"))
    for gone in folder.unfinished:
        yield Failure(gone.run_id, gone.reason)


def _subject(failure: dict[str, Any]) -> str:
    return str(failure.get("run_id") or failure.get("trial_id") or failure.get("model") or "?")


def _missing(name: str, results: Results) -> Iterator[Failure]:
    for gap in results.missing:
        if gap.experiment == name:
            seeds = ", ".join(str(seed) for seed in gap.seeds)
            yield Failure(
                f"{gap.label}, {gap.target}",
                f"{gap.expected - len(gap.seeds)} of {gap.expected} final runs; "
                f"no complete run of seed {seeds}",
            )
    for each in results.unrepresented:
        if each.experiment == name:
            yield Failure(each.target, each.sentence)
