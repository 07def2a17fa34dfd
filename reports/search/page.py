"""The section on the search itself."""

from pathlib import Path
from typing import Any

from reports.load import Results
from reports.mae_table import MaeTable
from reports.run_folder import RunFolder
from reports.search.trials import trials_table, tried_table
from reports.sections import Block, Code, Folded, Grid, Heading, Paragraph, Section


def search_section(results: Results, table: MaeTable, figures: Path) -> Section:
    """What was searched, by what rules, and what became of it."""
    blocks: list[Block] = []
    for name, folder in results.folders.items():
        blocks += [Heading(name)] if len(results.folders) > 1 else []
        blocks += [Paragraph(_summary(folder)), _models(folder)]
        tried, trials = tried_table(folder.trials), trials_table(folder)
        blocks += [tried] if tried.rows else []
        blocks += [Folded(_folded(folder, trials), (trials,), open=True)] if trials.rows else []
        blocks += [Folded("Search space, as it was given", (Code(folder.space),))] if folder.space else []
    return Section("search", "Search", "What was searched", blocks)


def _summary(folder: RunFolder) -> str:
    search, states = folder.search, folder.trials["state"].value_counts()
    counted = ", ".join(f"{number:,} {state}" for state, number in states.items())
    sentences = [
        f"{len(folder.trials):,} trials{f': {counted}' if counted else ''}.",
        f"The search is {search['status']}.",
    ]
    for words, key in (("Budget", "budget"), ("Final stage", "final")):
        if facts := _facts(search.get(key) or {}):
            sentences.append(f"{words}: {facts}.")
    return " ".join(sentences)


def _facts(record: dict[str, Any]) -> str:
    def text(value: Any) -> str:
        return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)

    return "; ".join(f"{key} {text(value)}" for key, value in record.items() if value is not None)


def _models(folder: RunFolder) -> Grid:
    models = [(entry["label"], key, entry["paper"]) for key, entry in folder.search["models"].items()]
    models += [(f"{entry['label']} (floor)", key, entry["paper"]) for key, entry in folder.floors.items()]
    header = ("Model", "Key", "Paper")
    return Grid("Models", header, (False, False, False), tuple(models), frozenset({"Paper"}))


def _folded(folder: RunFolder, trials: Grid) -> str:
    total = len(folder.trials)
    if len(trials.rows) == total:
        return "Trials"
    return f"Trials: the first {len(trials.rows)} of {total:,}; all are in {folder.path / 'trials.parquet'}"
