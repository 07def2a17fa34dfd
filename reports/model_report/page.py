"""The section of the report on where each model errs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reports.load import Results
from reports.mae_table import MaeTable
from reports.model_report.breakdown import PANELS, breakdown, breakdown_alt
from reports.model_report.group_errors import GroupError, group_errors
from reports.model_report.groups import SPACE_GROUP
from reports.model_report.pair_plot import pair_alt, pair_plot
from reports.model_report.pairs import Pair, pairs
from reports.model_report.parity import parity, parity_alt
from reports.model_report.per_crystal import CrystalErrors, TaskErrors, task_errors
from reports.model_report.periodic import periodic_table
from reports.model_report.tables import (
    groups_csv,
    groups_grid,
    pair_grid,
    pairs_csv,
    worst_csv,
    worst_grid,
)
from reports.model_report.words import SPLITS, absent, description_note, pair_sentences, sentences
from reports.picture import Picture, draw, slug
from reports.sections import Block, Bullets, Folded, Heading, Links, Paragraph, Section

FILES = Links(
    "All of it, unrounded:",
    (("errors_by_group.csv", "errors by group"), ("worst_crystals.csv", "the worst crystals of every model")),
)
PAIR_FILE = ("paired_differences.csv", "differences of pairs")


@dataclass(frozen=True)
class Found:
    """What was found of one task."""

    errors: TaskErrors
    groups: list[GroupError]
    pairs: list[Pair]


def model_section(results: Results, table: MaeTable, figures: Path) -> Section | None:
    """Where each model errs, task by task: the best model in full, the others folded; None without models."""
    found = _find(results, table)
    if not found:
        return None
    blocks: list[Block] = []
    for each in found:
        blocks += _of_task(each.errors, each.groups, figures)
        blocks += [block for pair in each.pairs for block in _of_pair(each.errors, pair, figures)]
    files = _files(found)
    links = Links(FILES.text, (*FILES.links, PAIR_FILE)) if PAIR_FILE[0] in files else FILES
    return Section("models", "Models", "Where each model errs", [*blocks, links], files)


def model_files(results: Results, table: MaeTable) -> dict[str, str]:
    """Name -> text of the tables of the section; none without models."""
    return _files(_find(results, table))


def _find(results: Results, table: MaeTable) -> list[Found]:
    tasks = [task_errors(results, table, task) for task in table.tasks]
    return [Found(errors, group_errors(errors), pairs(results, errors)) for errors in tasks]


def _files(found: Sequence[Found]) -> dict[str, str]:
    if not found:
        return {}
    files = {
        "errors_by_group.csv": groups_csv([(each.errors, each.groups) for each in found]),
        "worst_crystals.csv": worst_csv([each.errors for each in found]),
    }
    if any(each.pairs for each in found):
        files[PAIR_FILE[0]] = pairs_csv([(each.errors, each.pairs) for each in found])
    return files


def _of_task(errors: TaskErrors, found: Sequence[GroupError], figures: Path) -> list[Block]:
    best, *others = errors.models
    blocks: list[Block] = [
        Heading(f"{errors.task.target} on {errors.task.dataset}"),
        Paragraph(f"{best.candidate} has the lowest error and is shown in full."),
        Bullets((*sentences(errors, best, found), description_note(errors))),
        _parity(errors, figures),
        _breakdown(errors, found, figures),
    ]
    if (elements := periodic_table(errors, best, found, titled=True)) is not None:
        blocks.append(elements)
    blocks.append(Folded(f"The worst crystals of {best.candidate}", (worst_grid(errors, best),), open=True))
    for summary, groupings in (("Errors by group, all models", PANELS), ("By space group", (SPACE_GROUP,))):
        if (grid := groups_grid(errors, found, groupings)) is not None:
            blocks.append(Folded(summary, (grid,)))
    return [*blocks, *(_folded(errors, model, found) for model in others)]


def _folded(errors: TaskErrors, model: CrystalErrors, found: Sequence[GroupError]) -> Folded:
    elements = periodic_table(errors, model, found, titled=False)
    blocks: list[Block] = [Bullets(sentences(errors, model, found))]
    blocks += [elements] if elements is not None else []
    blocks.append(worst_grid(errors, model))
    return Folded(f"{model.candidate}: elements and worst crystals{absent(errors, model)}", tuple(blocks))


def _parity(errors: TaskErrors, figures: Path) -> Picture:
    where = slug(f"{errors.task.dataset}-{errors.task.target}")
    unit = f", in {errors.unit}" if errors.unit else ""
    return draw(
        figures / f"parity-{where}",
        f"Predicted against calculated: {errors.task.target}",
        f"{SPLITS[errors.split].capitalize()} crystals{unit}; predictions are means over the seeds. On the "
        "line, both agree.",
        parity_alt(errors),
        partial(parity, errors),
    )


def _breakdown(errors: TaskErrors, found: Sequence[GroupError], figures: Path) -> Picture:
    where = slug(f"{errors.task.dataset}-{errors.task.target}")
    return draw(
        figures / f"groups-{where}",
        f"Error in groups of crystals: {errors.task.target}",
        "MAE of each model, the number of crystals below; bands: 95 % interval of "
        f"{errors.models[0].candidate}.",
        breakdown_alt(errors, found),
        partial(breakdown, errors, found),
    )


def _of_pair(errors: TaskErrors, pair: Pair, figures: Path) -> list[Block]:
    names = f"{pair.second.candidate} against {pair.first.candidate}"
    picture = draw(
        figures / f"pair-{slug(f'{errors.task.dataset}-{errors.task.target}-{names}')}",
        f"{names}: {errors.task.target}",
        f"Differences are the error of {pair.second.candidate} minus that of {pair.first.candidate}, with "
        "95 % intervals of each group alone; filled: supported after Holm's correction over the groups.",
        pair_alt(pair, errors.unit),
        partial(pair_plot, pair, errors.unit),
    )
    folded = Folded(f"Where they differ, by group: {names}", (pair_grid(pair, errors.unit),))
    return [Bullets(pair_sentences(pair, errors.unit), names), picture, folded]
