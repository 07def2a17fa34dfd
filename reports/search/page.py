"""The section on the search itself."""

from pathlib import Path
from typing import Any

import numpy as np

from reports.load import Results
from reports.mae_table import MaeTable
from reports.run_folder import RunFolder
from reports.search import parallel, pictures
from reports.search.best import best_table
from reports.search.curves import read_curves
from reports.search.importance import FEWEST_TRIALS, importances
from reports.search.importance_plot import importance_table, judged
from reports.search.pareto import costs, known_costs, pareto_table
from reports.search.reasons import reasons_table
from reports.search.schedules import IS_A_SCHEDULE, has_schedules, schedule_table
from reports.search.searched import Branch, branches, rungs
from reports.search.trials import trials_table, tried_table
from reports.sections import Block, Code, Folded, Grid, Heading, Paragraph, Section


def search_section(results: Results, table: MaeTable, figures: Path) -> Section:
    """What was searched, by what rules, and what became of it."""
    blocks: list[Block] = []
    several = len(results.folders) > 1
    for name, folder in results.folders.items():
        blocks += [Heading(f"Search {name}")] if several else []
        blocks += [Paragraph(_summary(folder)), _models(folder)]
        curves = read_curves(folder.path, folder.trials["trial_id"])
        for target in folder.targets:
            named = f"{target}, {name}" if several else target
            place = pictures.Place(figures, name, target, named)
            blocks += _of_target(branches(folder, target), curves, rungs(folder), place)
        blocks += _tables(folder)
    return Section("search", "Search", "The search", blocks)


def _of_target(
    found: list[Branch], curves: dict[str, np.ndarray], epochs: list[int], place: pictures.Place
) -> list[Block]:
    """Tables and figures on the trials of one target; nothing where none has an error."""
    if not any(branch.trials["val_mae"].notna().any() for branch in found):
        return []
    blocks: list[Block] = [Heading(f"Trials for {place.named}"), best_table(found)]
    if any(len(branch.complete) for branch in found):
        blocks.append(pictures.progress_picture(found, place))
    blocks.append(pictures.history_picture(found, place))
    if any(trial_id in curves for branch in found for trial_id in branch.trials["trial_id"]):
        blocks.append(pictures.curves_picture(found, curves, epochs, place))
    if has_schedules(found):
        blocks += [Paragraph(IS_A_SCHEDULE), schedule_table(found)]
    else:
        blocks += _importances(found, curves, epochs, place)
        blocks += _parallels(found, place)
    if any(len(branch.complete) for branch in found) and known_costs(costs(found)):
        blocks += [pictures.pareto_picture(found, place), pareto_table(found)]
    return blocks


def _importances(
    found: list[Branch], curves: dict[str, np.ndarray], epochs: list[int], place: pictures.Place
) -> list[Block]:
    shown = {branch.model: importances(branch, curves, epochs) for branch in found if branch.domains}
    if not shown:
        return []
    if not judged(shown):
        return [
            Paragraph(
                f"No importances of hyper-parameters: they need {FEWEST_TRIALS} trials of a model that came "
                "equally far."
            )
        ]
    searched = [branch for branch in found if branch.domains]
    table = importance_table(searched, shown)
    return [
        pictures.importance_picture(searched, shown, place),
        Folded("The importances as a table", (table,)),
    ]


def _parallels(found: list[Branch], place: pictures.Place) -> list[Block]:
    """The model with the lowest error in sight, the others folded away."""
    drawable = sorted(
        (branch for branch in found if parallel.drawable(branch)),
        key=lambda branch: (branch.complete["val_mae"].min(), branch.label),
    )
    drawn = [pictures.parallel_picture(branch, place) for branch in drawable]
    if len(drawn) < 2:
        return [*drawn]
    return [drawn[0], Folded("The same of the other models", tuple(drawn[1:]))]


def _tables(folder: RunFolder) -> list[Block]:
    labels = {key: str(entry["label"]) for key, entry in folder.search["models"].items()}
    reasons, tried, trials = (
        reasons_table(folder.trials, labels),
        tried_table(folder.trials),
        trials_table(folder),
    )
    blocks: list[Block] = []
    blocks += [Heading("What failed or was stopped, and why"), reasons] if reasons.rows else []
    blocks += [Heading("Values that were tried"), tried] if tried.rows else []
    blocks += [Folded(_folded(folder, trials), (trials,), open=True)] if trials.rows else []
    blocks += [Folded("Search space, as it was given", (Code(folder.space),))] if folder.space else []
    return blocks


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
        if isinstance(value, dict):  # by target
            several = len(value) > 1
            return ", ".join(f"{each}{f' for {target}' if several else ''}" for target, each in value.items())
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
