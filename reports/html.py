"""The page: what was found, how, and where each number comes from, in one file that works offline."""

import shlex
from dataclasses import dataclass
from typing import Any

import pandas as pd

from crystalformer.data.catalog import DATASETS
from reports.answer import answers
from reports.figures import Picture
from reports.load import Results
from reports.mae_table import MaeTable
from reports.render import PrintedTable, in_unit
from reports.rounding import count, significant
from reports.run_folder import RunFolder
from reports.templating import embedded, printed, render

MOST_TRIALS = 200  # rows of the trial table on the page; trials.parquet has them all


@dataclass(frozen=True)
class Grid:
    """A plain table: `numeric` says which columns are set flush right."""

    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]


def page(
    results: Results,
    table: MaeTable,
    tables: list[PrintedTable],
    pictures: list[Picture],
    ablations: list[dict[str, Any]],
) -> str:
    """The whole page as HTML; every value is escaped by the template, pictures are embedded."""
    return render(
        "index.html.j2",
        names=list(results.folders),
        answers=answers(table, results),
        measured=[printed(each) for each in tables if each.key != "published"],
        published=next((printed(each) for each in tables if each.key == "published"), None),
        ablations=ablations,
        pictures=[embedded(picture) for picture in pictures],
        searches=[_search(name, folder, results) for name, folder in results.folders.items()],
        finals=_finals(results),
        notes=results.notes,
        command=shlex.join(
            ["python", "-m", "reports", *(str(folder.path) for folder in results.folders.values())]
        ),
    )


def _search(name: str, folder: RunFolder, results: Results) -> dict[str, Any]:
    search, dataset = folder.search, folder.search["dataset"]
    known = DATASETS.get(dataset["name"])
    path = str(folder.path)
    return {
        "name": name,
        "status": search["status"],
        "path": path,
        "space": folder.space,
        "budget": _facts(search.get("budget") or {}),
        "final": _facts(search["final"] or {}),
        "dataset": dataset["label"],
        "origin": f"{known.citation}; {known.license}" if known else "",
        "facts": _dataset_facts(folder),
        "targets": _targets(folder),
        "tried": _tried(folder.trials),
        "trials": _trials(folder),
        "trial_count": len(folder.trials),
        "states": ", ".join(
            f"{number} {state}" for state, number in folder.trials["state"].value_counts().items()
        ),
        "shown": min(len(folder.trials), MOST_TRIALS),
        "models": [
            *((key, entry["label"], entry["paper"]) for key, entry in search["models"].items()),
            *((key, f"{entry['label']} (floor)", entry["paper"]) for key, entry in folder.floors.items()),
        ],
        "failures": [_failure(failure) for failure in search.get("failures") or ()]
        + [(gone.run_id, gone.reason) for gone in folder.unfinished],
        "missing": [
            f"{gap.label}, {gap.target}: {gap.expected - len(gap.seeds)} of {gap.expected} final runs; "
            f"no complete run of seed {', '.join(str(seed) for seed in gap.seeds)}"
            for gap in results.missing
            if gap.experiment == name
        ]
        + [f"{each.target}: {each.sentence}" for each in results.unrepresented if each.experiment == name],
        "provenance": _provenance(search),
        "versions": sorted(((search.get("provenance") or {}).get("versions") or {}).items()),
        "tensorboard": f"tensorboard --logdir {shlex.quote(f'{path}/tensorboard')}",
        "dashboard": f"optuna-dashboard {shlex.quote(f'sqlite:///{path}/study.db')}",
    }


def _words(value: object) -> str:
    """Text as it is, nothing for a missing value (None, NaN)."""
    return value if isinstance(value, str) else ""


def _facts(record: dict[str, Any]) -> str:
    def text(value: Any) -> str:
        return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)

    return "; ".join(f"{key} {text(value)}" for key, value in record.items() if value is not None)


def _failure(failure: dict[str, Any]) -> tuple[str, str]:
    subject = failure.get("run_id") or failure.get("trial_id") or failure.get("model") or "?"
    return str(subject), str(failure.get("reason") or "no reason given")


def _dataset_facts(folder: RunFolder) -> list[tuple[str, str]]:
    dataset = folder.search["dataset"]
    return [
        ("Name", str(dataset["name"])),
        ("Crystals", count(dataset.get("crystals"))),
        ("Atoms", count(dataset.get("atoms"))),
        ("Digest", _short(dataset["digest"])),
    ]


def _short(digest: object) -> str:
    """Enough of a digest to tell two apart; search.json has it whole."""
    return str(digest)[:12]


def _targets(folder: RunFolder) -> Grid:
    dataset = folder.search["dataset"]
    rows = []
    for target in folder.targets:
        split, stats = dataset["split"][target], dataset["target_stats"].get(target) or {}
        counts = [count(split[part]) for part in ("train", "val", "test")]
        numbers = [
            significant(float(stats.get(key, "nan"))) for key in ("train_mean", "train_sd", "train_mad")
        ]
        unit = dataset["targets"].get(target) or "none stated"
        rows.append((target, unit, *counts, *numbers, str(split["rule"]), _short(split["hash"])))
    header = (
        "Target",
        "Unit",
        "Train",
        "Val",
        "Test",
        "Train mean",
        "Train s.d.",
        "Train MAD",
        "Split rule",
        "Split hash",
    )
    return Grid(header, (False, False, *[True] * 6, False, False), tuple(rows))


def _searched(trials: pd.DataFrame) -> list[str]:
    """Columns `model/name` of the hyper-parameters that were searched."""
    return [str(column) for column in trials.columns if "/" in str(column)]


def _tried(trials: pd.DataFrame) -> Grid:
    """What was tried of each hyper-parameter, and its value in the best trial of its model."""
    rows = []
    for column in _searched(trials):
        model, name = column.split("/", 1)
        values = trials[column].dropna()
        if values.empty:
            continue
        mine = trials[(trials["model"] == model) & (trials["state"] == "complete")].dropna(subset=["val_mae"])
        best = mine.loc[mine["val_mae"].idxmin(), column] if len(mine) else None
        rows.append((model, name, _extent(values), "" if best is None else _value(best), str(len(values))))
    header = ("Model", "Hyper-parameter", "Values tried", "In the best complete trial", "Trials")
    return Grid(header, (False, False, False, False, True), tuple(rows))


def _extent(values: pd.Series) -> str:
    different = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if len(different) > 6 and not isinstance(different[-1], str):
        return f"{_value(different[0])} to {_value(different[-1])}"
    return ", ".join(_value(value) for value in different[:12]) + (", …" if len(different) > 12 else "")


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _trials(folder: RunFolder) -> Grid:
    """The first MOST_TRIALS trials; hyper-parameters share a column, since each model has its own."""
    several = len(folder.targets) > 1  # then each trial names its target, and units may differ
    unit = None if several else folder.search["dataset"]["targets"].get(folder.targets[0])
    searched = _searched(folder.trials)

    def cells(row: dict[str, Any]) -> list[tuple[str, bool, str]]:
        """(column, flush right, text) of one trial."""
        values = [
            f"{column.split('/', 1)[1]}={_value(row[column])}"
            for column in searched
            if column.startswith(f"{row['model']}/") and pd.notna(row[column])
        ]
        if pd.notna(row.get("images_radius")):
            bound = row.get("truncation_bound")
            stated = f"bound on what it leaves out {bound:.2g}" if pd.notna(bound) else "without a bound"
            values.append(f"images within {row['images_radius']:.4g} Å ({stated})")
        return [
            ("#", True, count(row["number"])),
            *([("Target", False, str(row["target"]))] if several else []),
            ("Model", False, str(row["model"])),
            ("Recipe", False, str(row["recipe"] or "")),
            ("State", False, str(row["state"])),
            (in_unit("Val MAE", unit), True, significant(row["val_mae"], 4)),
            ("Epochs", True, count(row["epochs"])),
            ("Seconds", True, significant(row["seconds"])),
            ("Parameters", True, count(row["parameters"])),
            ("Hyper-parameters", False, ", ".join(values)),
            ("Why it ended", False, str(row["ended"] or "")),
        ]

    rows = [cells(row) for row in folder.trials.head(MOST_TRIALS).to_dict("records")]
    columns = rows[0] if rows else []
    return Grid(
        tuple(name for name, _, _ in columns),
        tuple(right for _, right, _ in columns),
        tuple(tuple(text for _, _, text in row) for row in rows),
    )


def _finals(results: Results) -> Grid:
    """Every final run and split: the chain from a cell of the MAE table to the trial it was selected from."""
    header = (
        "Run id", "Target", "Seed", "Rank", "Split", "MAE", "RMSE", "R²", "MAE, last epoch's weights",
        "Weights kept", "Epochs",
        "Selected from trial", "with val MAE", "Peak memory (MB)",
    )  # fmt: skip
    rows = [
        (
            str(row["run_id"]),
            str(row["target"]),
            str(row["seed"]),
            str(row["rank"]),
            str(row["split"]),
            significant(row["mae"], 4),
            significant(row["rmse"], 4),
            "" if pd.isna(row["r2"]) else f"{row['r2']:.4f}",
            significant(float(row["mae_raw"]), 4),
            _words(row["kept"]),
            str(row["epochs"]),
            _words(row["trial_id"]),
            significant(row["trial_val_mae"], 4),
            count(row["peak_memory_mb"]),
        )
        for row in results.runs.to_dict("records")
    ]
    numeric = tuple(
        name not in ("Run id", "Target", "Split", "Weights kept", "Selected from trial") for name in header
    )
    return Grid(header, numeric, tuple(rows))


def _provenance(search: dict[str, Any]) -> list[tuple[str, str]]:
    record = search.get("provenance") or {}
    commit = str(record.get("commit") or "unknown") + (
        " (with uncommitted changes)" if record.get("dirty") else ""
    )
    seconds = search.get("seconds")
    facts = [
        ("Command", search.get("command")),
        ("Suite version", search.get("suite_version")),
        ("Commit", commit),
        ("Search space", _short(search.get("space_digest") or "")),
        ("Started", search.get("started")),
        ("Finished", search.get("finished") or "not finished"),
        ("Duration", f"{seconds / 60:.1f} min" if isinstance(seconds, int | float) else None),
        ("Python", record.get("python")),
        ("Platform", record.get("platform")),
        ("Processor", record.get("cpu")),
        ("Cores", record.get("cores")),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]
