"""The summary of committed results that stands in the README, between two marks."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from reports import published
from reports.ablation.study import is_ablation, studies_of
from reports.ablation.words import finding
from reports.data_size.curve import SizeCurve, grouped, size_curves
from reports.data_size.plot import errors_by_size, errors_by_size_alt
from reports.data_size.tables import printed_curve
from reports.load import Results, side_by_side
from reports.mae_table import MaeTable, Task, build
from reports.picture import png
from reports.render import in_unit, markdown_table, markdown_words, trials_and_epochs
from reports.rounding import between, count, p_value, significant, with_sd
from reports.run_folder import RunFolder
from reports.theme import THEMES, style

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
NONE = "No results are committed yet."
HOW_TO_READ = (
    "Means over the seeds; the interval is about other crystals. Bold: the lowest error of the models, where "
    "a paired test, Holm-corrected, supports the difference to each other one; floors stand outside of it. "
    "Trials × epochs: what was allowed, of which early stopping ends some; a row with fewer epochs than "
    "another had less training."
)

Comparison = tuple[list[RunFolder], list[Task]]  # runs on the same crystals, and the tasks they share


class MarkError(ValueError):
    """The file lacks the marks that the summary stands between."""


def with_summary(
    text: str, results: Path, folders: Sequence[RunFolder], readme: Path
) -> dict[Path, str | bytes]:
    """The file `readme`, with `text` and between its marks the summary of the run folders in `results`; and
    the pictures of the summary, which lie in `results`.

    Raises:
        MarkError: the marks are not there, once each and in order.
        ReportError: the folders do not belong into one summary.
    """
    if not (text.count(BEGIN) == text.count(END) == 1 and text.index(BEGIN) < text.index(END)):
        raise MarkError(f"{readme}: expected the lines {BEGIN} and {END} once each, in this order")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    curves = {results / f"{curve.slug}.png": curve for curve in size_curves(folders)}
    sizes = [each.path for groups in grouped(folders).values() for group in groups.values() for each in group]
    others = [folder for folder in folders if folder.path not in sizes]
    summary = _summary(others, curves, readme.parent)
    pictures = {path: _picture(curve) for path, curve in curves.items()}
    return {readme: f"{before}{BEGIN}\n{summary}{END}{after}", **pictures}


def _summary(folders: Sequence[RunFolder], curves: dict[Path, SizeCurve], base: Path) -> str:
    """The tables of all tasks, each of runs on the same crystals, and the ablations; links from `base`."""
    parts = [_dataset(comparisons, base) for comparisons in _comparisons(folders)]
    parts += [_sizes(curve, picture, base) for picture, curve in curves.items()]
    ablations = [_ablation(folder, base) for folder in folders if is_ablation(folder)]
    if ablations:
        parts.append("Ablations:\n\n" + "".join(ablations))
    return "\n".join(parts) if parts else f"{NONE}\n"


def _comparisons(folders: Sequence[RunFolder]) -> list[list[Comparison]]:
    """The comparisons on each data set, those of most runs first; ablations take no part."""
    found: dict[tuple[str, str, str, str], list[RunFolder]] = {}
    for folder in folders:
        dataset = folder.search["dataset"]
        for target in folder.targets if not is_ablation(folder) and folder.finals else ():
            key = (dataset["name"], dataset["digest"], target, dataset["split"][target]["hash"])
            found.setdefault(key, []).append(folder)
    shared: dict[tuple[Path, ...], Comparison] = {}
    for (name, _, target, _), compared in found.items():
        paths = tuple(folder.path for folder in compared)
        shared.setdefault(paths, (compared, []))[1].append(Task(name, target))
    datasets: dict[tuple[str, str], list[Comparison]] = {}
    for compared, tasks in sorted(shared.values(), key=lambda each: -len(each[0])):
        dataset = compared[0].search["dataset"]
        datasets.setdefault((dataset["name"], dataset["digest"]), []).append((compared, tasks))
    return list(datasets.values())


def _dataset(comparisons: Sequence[Comparison], base: Path) -> str:
    """The tables of one data set, and once the command of each run that is in any of them."""
    tables, commands = [], []
    for folders, tasks in comparisons:
        results = side_by_side(folders)
        table = build(results, published.load())
        tables += [_task(results, table, task, base) for task in tasks]
        commands += _commands(results)
    return "\n".join(tables) + f"\n{HOW_TO_READ}\n" + _folded("Each row again", sorted(set(commands)))


def _task(results: Results, table: MaeTable, task: Task, base: Path) -> str:
    split = "test" if "test" in set(table.measured(task)["split"]) else "val"
    rows = _rows(table, task, split)
    unit = rows["unit"].iloc[0]
    crystals = f"{int(rows['crystals'].max()):,} {'test' if split == 'test' else 'validation'} crystals"
    title = in_unit(f"MAE of `{task.target}`", unit if isinstance(unit, str) else None)
    trained = next(iter(results.folders.values())).search["dataset"]["split"][task.target]["train"]
    header = (
        f"| {title}, {crystals} of {markdown_words(task.dataset)}, {trained:,} to train "
        "| mean ± s.d. | 95 % interval | p against the best | seeds | parameters | trials × epochs "
        "| search and final runs (h) | from |"
    )
    lines = [header, "|---|---:|---:|---:|---:|---:|---:|---:|---|"]
    lines += [_line(row, results, base) for row in rows.to_dict("records")]
    return "\n".join(lines) + "\n"


def _picture(curve: SizeCurve) -> bytes:
    with style(THEMES[0]):
        return png(errors_by_size(curve, THEMES[0]))


def _sizes(curve: SizeCurve, picture: Path, base: Path) -> str:
    """The errors of one target over the number of training crystals."""
    image = f"\n![{markdown_words(errors_by_size_alt(curve))}]({_relative(picture, base)})\n"
    table = printed_curve(curve)
    rows = tuple(replace(row, run_ids=()) for row in table.rows)
    return markdown_table(replace(table, rows=rows)) + image + _folded("Each number again", curve.commands)


def _rows(table: MaeTable, task: Task, split: str) -> pd.DataFrame:
    """Models by their error, then the floors, which are the same in all runs, once."""
    models, floors = table.measured(task), table.floors(task)
    ranked = models[models["split"] == split].sort_values("mae", kind="stable")
    once = floors[floors["split"] == split].drop_duplicates("model").sort_values("mae", kind="stable")
    return pd.concat([ranked, once])


def _line(row: dict, results: Results, base: Path) -> str:
    folder = results.folders[row["experiment"]]
    entries = folder.floors if row["kind"] == "floor" else folder.search["models"]
    label = markdown_words(str(entries[row["model"]]["label"])) + (
        " (floor)" if row["kind"] == "floor" else ""
    )
    value, sd = with_sd(float(row["mae"]), float(row["sd"]))
    error = f"**{value}**" if row["bold"] else value
    seeds, expected = int(row["n_seeds"]), int(row["n_expected"])
    absent = f", {int(row['absent']):,} crystals not predicted" if row["absent"] else ""
    cells = (
        f"{label}{absent}",
        f"{error} ± {sd}" if sd else error,
        between(row["mae_low"], row["mae_high"]),
        "" if pd.isna(row["p_holm"]) else p_value(row["p_holm"]).removeprefix("p = ").removeprefix("p "),
        str(seeds) if seeds == expected else f"{seeds} of {expected}",
        "" if pd.isna(row["params"]) else count(int(row["params"])),
        trials_and_epochs(row),
        _hours(row["search_hours"]),
        _link(folder.path, "report/mae_table.md", base),
    )
    return "| " + " | ".join(cells) + " |"


def _hours(value: float) -> str:
    return "< 0.001" if 0 < value < 0.001 else significant(value, 2)


def _link(folder: Path, file: str, base: Path) -> str:
    return f"[{markdown_words(folder.name)}]({_relative(folder / file, base)})"


def _relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()


def _commands(results: Results) -> list[str]:
    """One of each run: it gives the rows that the last column says are from there, in all tables."""
    searches = [folder.search for folder in results.folders.values()]
    return [search["command"] for search in searches if search.get("command")]


def _folded(title: str, commands: Sequence[str]) -> str:
    """The commands in a block that opens on a click, since they are longer than what they repeat."""
    if not commands:
        return ""
    lines = "".join(f"    {command}\n" for command in commands)
    return f"\n<details><summary>{title}</summary>\n\n{lines}\n</details>\n"


def _ablation(folder: RunFolder, base: Path) -> str:
    findings = [finding(study) for study in studies_of({str(folder.search["name"]): folder})]
    link = _link(folder.path, "report/ablation.md", base)
    return "".join(f"- {markdown_words(each.headline)} {link}\n" for each in findings)
