"""The one frame behind every table: a row per model, target and split, measured and published.

Everything that is printed - Markdown, LaTeX, HTML, CSV - is taken from this frame, so that no two of them
can disagree.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crystalformer.metrics import mad
from reports.comparison import Comparison, Rival, beside, compare
from reports.hours import search_hours, trials_of
from reports.intervals import intervals
from reports.load import Results
from reports.near_duplicates import deduplicated_mae
from reports.published import REGISTRY_KEYS, comparable
from reports.run_folder import ReportError, RunFolder

CSV_COLUMNS = [
    "model", "dataset", "target", "unit", "split", "mae", "sd", "n_seeds", "run_ids", "params",
    "train_s_per_epoch",
    "predict_ms_per_crystal", "kind", "source", "mae_low", "mae_high", "rmse", "r2", "mad",
    "mae_deduplicated", "crystals", "absent", "peak_memory_mb", "trials", "epochs", "search_hours", "p_holm",
    "experiment",
]  # fmt: skip
# What printed tables need beside that. `candidate` names a row: the model's label, and the search where
# several have it.
PRINT_COLUMNS = [
    "candidate",
    "recipe",
    "variant",
    "n_expected",
    "bold",
]


@dataclass(frozen=True)
class Task:
    """One table: a target of a data set."""

    dataset: str
    target: str


@dataclass(frozen=True)
class MaeTable:
    """`frame`: columns CSV_COLUMNS + PRINT_COLUMNS. `comparisons`: the test per task and split; None
    where there is none. `over_floors`: per task and split the best model beside each floor.
    """

    frame: pd.DataFrame
    comparisons: dict[tuple[Task, str], Comparison | None]
    over_floors: dict[tuple[Task, str], tuple[Rival, ...]]

    @property
    def tasks(self) -> list[Task]:
        """The tasks that have measured rows, in order."""
        measured = self.frame[self.frame["kind"] == "measured"]
        return [
            Task(*pair) for pair in dict.fromkeys(zip(measured["dataset"], measured["target"], strict=True))
        ]

    def measured(self, task: Task) -> pd.DataFrame:
        """The measured rows of one task: those of models."""
        return self._rows(task, "measured")

    def floors(self, task: Task) -> pd.DataFrame:
        """The rows of one task's floors."""
        return self._rows(task, "floor")

    def _rows(self, task: Task, kind: str) -> pd.DataFrame:
        frame = self.frame
        of_task = (frame["dataset"] == task.dataset) & (frame["target"] == task.target)
        return frame[of_task & (frame["kind"] == kind)]

    @property
    def published(self) -> pd.DataFrame:
        """The published rows."""
        return self.frame[self.frame["kind"] == "published"]


def build(results: Results, published: pd.DataFrame) -> MaeTable:
    """The table of `results` with the published errors of the same models and quantities.

    mae is the mean over the seeds of each seed's MAE, sd their sample standard deviation (NaN for one
    seed). Rows are the configuration that validation chose (rank 1); other retrained configurations stay in
    `results.runs`. A floor that several experiments have fitted to the same crystals has one row. Where
    several have a model, their names tell its rows apart.
    """
    chosen = _chosen(results.runs)
    key = ["experiment", "dataset", "target", "model", "split"]
    rows = [_measured_row(results, runs) for _, runs in chosen.groupby(key, sort=False)]
    comparisons: dict[tuple[Task, str], Comparison | None] = {}
    frame = pd.DataFrame(rows, columns=CSV_COLUMNS + PRINT_COLUMNS)
    over_floors: dict[tuple[Task, str], tuple[Rival, ...]] = {}
    for (dataset, target, split), group in frame.groupby(["dataset", "target", "split"], sort=False):
        key_of_test = Task(str(dataset), str(target)), str(split)
        errors = _errors_per_crystal(results, group)
        spans = intervals(errors).loc[group["candidate"]]
        frame.loc[group.index, ["mae_low", "mae_high"]] = spans.to_numpy()
        floors = errors.columns.isin(group["candidate"][group["kind"] == "floor"])
        found = compare(errors.loc[:, ~floors])
        comparisons[key_of_test] = found
        for rival in found.rivals if found is not None else ():
            frame.loc[group.index[group["candidate"] == rival.candidate], "p_holm"] = rival.p
        over_floors[key_of_test] = beside(errors.loc[:, ~floors], errors.loc[:, floors])
        if found is not None and found.supported:
            frame.loc[group.index[group["candidate"] == found.best], "bold"] = True
    literature = comparable(published, set(frame["model"]), set(frame["target"])).assign(
        split="test", kind="published"
    )
    literature["candidate"] = literature["model"].map(
        dict(zip(chosen["model"], chosen["label"], strict=True))
    )
    named = zip(literature["variant"], literature["source"], strict=True)
    literature["source"] = [f"{variant}: {source}" if variant else source for variant, source in named]
    parts = [
        _in_order(frame, results),
        literature.assign(bold=False).reindex(columns=CSV_COLUMNS + PRINT_COLUMNS),
    ]
    records = [record for part in parts for record in part.to_dict("records")]
    whole = _typed(pd.DataFrame(records, columns=CSV_COLUMNS + PRINT_COLUMNS))
    return MaeTable(whole, comparisons, over_floors)


def _chosen(runs: pd.DataFrame) -> pd.DataFrame:
    """The final runs of the table, with `named`: whether the name of the experiment is needed."""
    first = runs[runs["rank"] == 1]
    same_floor = first["floor"] & first.duplicated(["dataset", "target", "run_id", "split", "mae"])
    chosen = first[~same_floor]
    experiments = chosen.groupby(["dataset", "target", "model"])["experiment"].transform("nunique")
    return chosen.assign(named=experiments > 1)


def _measured_row(results: Results, runs: pd.DataFrame) -> dict[str, object]:
    first = runs.iloc[0]
    name = first["experiment"]
    folder = results.folders[name]
    dataset = folder.search["dataset"]
    if runs["parameters"].nunique(dropna=False) != 1:
        counts = ", ".join(str(count) for count in runs["parameters"])
        raise ReportError(
            f"{name}: {first['model']}: expected one parameter count over the seeds, got {counts}"
        )
    unit = dataset["targets"].get(first["target"]) or None
    stated_units = [stated if isinstance(stated, str) and stated else None for stated in runs["unit"]]
    if strange := [stated for stated in stated_units if stated != unit]:
        raise ReportError(
            f"{name}: {first['target']}: expected the data set's unit {unit!r}, got {strange[0]!r} in "
            f"run.json"
        )
    return {
        "model": first["model"],
        "dataset": first["dataset"],
        "target": first["target"],
        "unit": unit,
        "split": first["split"],
        "mae": runs["mae"].mean(),
        "sd": runs["mae"].std(ddof=1),
        "n_seeds": len(runs),
        "run_ids": " ".join(runs.sort_values("seed")["run_id"]),
        "params": None if pd.isna(first["parameters"]) else int(first["parameters"]),
        "train_s_per_epoch": runs["train_s_per_epoch"].mean(),
        "predict_ms_per_crystal": runs["predict_ms_per_crystal"].mean(),
        "kind": "floor" if first["floor"] else "measured",
        "source": None,
        "experiment": name,
        "candidate": _candidate(first),
        "recipe": first["recipe"],
        "variant": None,
        "n_expected": max(len(_seeds(folder, first)), len(runs)),
        "crystals": int(first["crystals"]),
        "absent": int(first["absent"]),
        "bold": False,
        "mae_low": np.nan,
        "mae_high": np.nan,
        "rmse": runs["rmse"].mean(),
        "r2": runs["r2"].mean(),
        "mad": _mad(results, first),
        "mae_deduplicated": deduplicated_mae(results, runs),
        "peak_memory_mb": runs["peak_memory_mb"].mean(),
        "trials": None if first["floor"] else trials_of(results, name, first["model"], first["target"]),
        "epochs": None if first["floor"] else int(first["epochs"]),
        "search_hours": search_hours(results, name, first["model"], first["target"]),
        "p_holm": np.nan,
    }


def _mad(results: Results, run: pd.Series) -> float:
    """Mean absolute deviation of the labels of the crystals that the run predicted in its split."""
    table = results.predictions
    mine = (table["experiment"] == run["experiment"]) & (table["run_id"] == run["run_id"])
    return mad(table.loc[mine & (table["split"] == run["split"]), "y_true"])


def _candidate(run: pd.Series) -> str:
    label = f"{run['label']} (floor)" if run["floor"] else str(run["label"])
    return f"{label} ({run['experiment']})" if run["named"] else label


def _seeds(folder: RunFolder, run: pd.Series) -> tuple[int, ...]:
    floor = folder.floors.get(run["model"]) if run["floor"] else None
    return tuple(floor["seeds"]) if floor else folder.seeds


def _errors_per_crystal(results: Results, group: pd.DataFrame) -> pd.DataFrame:
    """|y_true - y_pred| averaged over the seeds: a row per crystal, a column per candidate of `group`,
    NaN if not predicted.
    """
    columns = {}
    for row in group.itertuples():
        mine = results.predictions[
            results.predictions["run_id"].isin(row.run_ids.split())
            & (results.predictions["experiment"] == row.experiment)
            & (results.predictions["split"] == row.split)
        ]
        columns[row.candidate] = (mine["y_true"] - mine["y_pred"]).abs().groupby(mine["id"]).mean()
    return pd.DataFrame(columns)


def _in_order(frame: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Tasks as they were searched; in each, models by test MAE (validation MAE without a test), val first,
    then the floors.
    """
    key = ["dataset", "target", "experiment", "model"]
    by_test = {
        tuple(row[:-1]): row[-1]
        for row in frame.sort_values("split", ascending=False)[[*key, "mae"]].to_numpy()
    }
    folders = results.folders.values()
    tasks: list[tuple[object, object]] = [
        (folder.search["dataset"]["name"], target) for folder in folders for target in folder.targets
    ]

    def position(row: dict[str, object]) -> tuple[object, ...]:
        model = str(row["model"])
        registry = REGISTRY_KEYS.index(model) if model in REGISTRY_KEYS else len(REGISTRY_KEYS)
        identity = tuple(row[name] for name in key)
        return (
            tasks.index((row["dataset"], row["target"])),
            row["kind"] == "floor",
            by_test[identity],
            registry,
            row["experiment"],
            row["split"] == "test",
        )

    order = sorted(frame.to_dict("records"), key=position)
    return pd.DataFrame(order, columns=frame.columns)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    integers = dict.fromkeys(
        ["n_seeds", "params", "n_expected", "crystals", "absent", "trials", "epochs"], "Int64"
    )
    numbers = [
        "mae", "sd", "train_s_per_epoch", "predict_ms_per_crystal", "mae_low", "mae_high", "rmse", "r2",
        "mad", "mae_deduplicated", "peak_memory_mb", "search_hours", "p_holm",
    ]  # fmt: skip
    floats = dict.fromkeys(numbers, "float64")
    return frame.astype(integers | floats | {"bold": bool})
