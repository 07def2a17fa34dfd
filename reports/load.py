"""Several run folders as tidy frames, checked against each other.

Errors stand side by side in one table only if they were measured on the same crystals: the same data set
(by digest) and the same split (by hash) for each target. Anything else stops the report.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reports.run_folder import TOLERANCE, FinalRun, ReportError, RunFolder, read_run_folder
from reports.unrepresented import Unrepresented, unrepresented


@dataclass(frozen=True)
class MissingSeeds:
    """Seeds that were asked for and have no complete final run."""

    experiment: str
    target: str
    model: str
    label: str
    expected: int
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Results:
    """All run folders of one report.

    `runs`: one row per complete final run and split (val, test), errors in `unit`. `predictions`:
    experiment, run_id, model, target, rank, seed, id, split, y_true, y_pred. `curves`: one row per final
    run and epoch. `trials`: one row per trial. `missing`: seeds without a complete run. `unrepresented`:
    models that are without some crystal. `notes`: what a reader should know, in words.
    """

    folders: dict[str, RunFolder]
    runs: pd.DataFrame
    predictions: pd.DataFrame
    curves: pd.DataFrame
    trials: pd.DataFrame
    missing: tuple[MissingSeeds, ...]
    unrepresented: tuple[Unrepresented, ...]
    notes: tuple[str, ...]


def load(paths: Sequence[Path]) -> Results:
    """Reads the run folders. Raises ReportError where one is unreadable or two do not belong into one
    table.
    """
    return side_by_side([read_run_folder(path) for path in paths])


def side_by_side(read: Sequence[RunFolder]) -> Results:
    """Run folders that were read already. Raises ReportError where two do not belong into one table."""
    folders = _named(read)
    _check_same_crystals(folders)
    pairs = [(name, final) for name, folder in folders.items() for final in folder.finals]
    runs = pd.DataFrame(
        [row for name, final in pairs for row in _run_rows(name, final)], columns=RUN_COLUMNS
    ).astype(dict.fromkeys(NUMBERS_OR_NONE, "float64"))
    _check_no_seed_twice(runs)
    predictions = _stack([_tagged(final.predictions, name, final) for name, final in pairs], PREDICTION_TAGS)
    _check_same_truth(predictions)
    return Results(
        folders=folders,
        runs=runs,
        predictions=predictions,
        curves=_stack([_tagged(final.curve, name, final) for name, final in pairs], PREDICTION_TAGS),
        trials=_stack(
            [folder.trials.assign(experiment=name) for name, folder in folders.items()], ["experiment"]
        ),
        missing=tuple(gap for name, folder in folders.items() for gap in _missing_seeds(name, folder)),
        unrepresented=tuple(each for name, folder in folders.items() for each in unrepresented(name, folder)),
        notes=tuple(note for name, folder in folders.items() for note in _notes(folder)),
    )


RUN_COLUMNS = [
    "experiment", "run_id", "model", "label", "recipe", "dataset", "target", "unit", "seed", "rank",
    "parameters", "kept",
    "epochs", "split", "crystals", "absent", "mae", "rmse", "r2", "mae_raw", "train_s_per_epoch",
    "predict_ms_per_crystal",
    "peak_memory_mb", "trial_id", "trial_val_mae", "floor",
]  # fmt: skip
NUMBERS_OR_NONE = ["parameters", "train_s_per_epoch", "peak_memory_mb", "trial_val_mae"]  # None of a floor
PREDICTION_TAGS = ["experiment", "run_id", "model", "target", "rank", "seed"]


def _named(read: Sequence[RunFolder]) -> dict[str, RunFolder]:
    """Each folder under the name of its search, or under its path where two searches share a name."""
    resolved = [folder.path.resolve() for folder in read]
    for folder, where in zip(read, resolved, strict=True):
        if resolved.count(where) > 1:
            raise ReportError(f"{folder.path}: given more than once")
    names = [str(folder.search["name"]) for folder in read]
    return {
        name if names.count(name) == 1 else str(folder.path): folder
        for name, folder in zip(names, read, strict=True)
    }


def _check_same_crystals(folders: dict[str, RunFolder]) -> None:
    """One digest and one split hash per data set and target, over all searches and all final runs."""
    seen: dict[tuple[str, str, str], tuple[str, str]] = {}

    def agree(what: str, dataset: str, target: str, value: str, where: str) -> None:
        first, first_where = seen.setdefault((what, dataset, target), (value, where))
        if value != first:
            raise ReportError(
                f"{where}: {what} of {dataset}, target {target}, is {value}, but {first_where} has {first}: "
                "errors on different crystals do not belong into one table; report them separately"
            )

    for folder in folders.values():
        dataset = folder.search["dataset"]
        for target in folder.targets:
            agree("digest", dataset["name"], target, dataset["digest"], str(folder.path))
            agree("split", dataset["name"], target, dataset["split"][target]["hash"], str(folder.path))
        for final in folder.finals:
            record, where = final.record, str(folder.path / "final" / final.record["run_id"])
            agree("digest", record["dataset"], record["target"], record["dataset_digest"], where)
            agree("split", record["dataset"], record["target"], record["split_hash"], where)


def _run_rows(name: str, final: FinalRun) -> list[dict[str, object]]:
    record = final.record
    trial = record["selected_from"]
    shared = {key: record.get(key) for key in RUN_COLUMNS if key in record}
    return [
        shared
        | {
            "experiment": name,
            "floor": bool(record.get("floor")),
            "split": split,
            "crystals": int((final.predictions["split"] == split).sum()),
            "absent": final.absent[split],
            "mae_raw": record["metrics"].get(f"{split}_raw", {}).get("mae", np.nan),
            "trial_id": trial["trial_id"],
            "trial_val_mae": trial["val_mae"],
        }
        | final.metrics[split]
        for split in ("val", "test")
        if split in final.metrics
    ]


def _tagged(table: pd.DataFrame, name: str, final: FinalRun) -> pd.DataFrame:
    tags = {key: final.record[key] for key in PREDICTION_TAGS if key != "experiment"}
    return table.assign(experiment=name, **tags)


def _stack(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    filled = [
        table for table in tables if len(table)
    ]  # pandas guesses other column types when an empty frame takes part
    return pd.concat(filled, ignore_index=True) if filled else (tables or [pd.DataFrame(columns=columns)])[0]


def _check_no_seed_twice(runs: pd.DataFrame) -> None:
    key = ["experiment", "target", "model", "rank", "seed", "split"]
    for _, twins in runs.groupby(key):
        if len(twins) > 1:
            first = twins.iloc[0]
            raise ReportError(
                f"{first['experiment']}: {first['model']}, {first['target']}, seed {first['seed']}, rank "
                f"{first['rank']}: "
                f"expected one final run, got {', '.join(twins['run_id'])}"
            )


def _check_same_truth(predictions: pd.DataFrame) -> None:
    """Within one search, the label of a crystal is one number, whichever model predicts it."""
    if predictions.empty:
        return
    truth = predictions.groupby(["experiment", "target", "id"])["y_true"]
    spread = truth.max() - truth.min()
    if (spread > TOLERANCE).any():
        experiment, target, crystal = spread.idxmax()
        raise ReportError(
            f"{experiment}: crystal {crystal!r}: y_true of {target} differs by {spread.max()} between "
            f"final runs; "
            "expected the same label in every predictions.parquet"
        )


def _missing_seeds(name: str, folder: RunFolder) -> list[MissingSeeds]:
    gaps = []
    for target in folder.targets:
        expected = [(model, entry["label"], folder.seeds) for model, entry in folder.search["models"].items()]
        expected += [(key, floor["label"], tuple(floor["seeds"])) for key, floor in folder.floors.items()]
        for model, label, seeds in expected:
            done = {
                final.record["seed"]
                for final in folder.finals
                if (final.record["model"], final.record["target"], final.record["rank"]) == (model, target, 1)
            }
            absent = tuple(seed for seed in seeds if seed not in done)
            if absent:
                gaps.append(MissingSeeds(name, target, model, label, len(seeds), absent))
    return gaps


def _notes(folder: RunFolder) -> list[str]:
    """The search's own notes, and what does not fit together without being wrong."""
    dataset = folder.search["dataset"]
    notes = [str(note) for note in folder.search.get("notes") or ()]
    validated = dict(zip(folder.trials["trial_id"], folder.trials["val_mae"], strict=True))
    for final in folder.finals:
        record = final.record
        trial = record["selected_from"]
        if record.get("floor"):
            pass  # selected from no trial
        elif trial["trial_id"] not in validated:
            notes.append(
                f"{record['run_id']}: the trial it was selected from, {trial['trial_id']}, is not in "
                f"trials.parquet."
            )
        elif not np.isclose(validated[trial["trial_id"]], trial["val_mae"], rtol=0, atol=TOLERANCE):
            notes.append(
                f"{record['run_id']}: selected from {trial['trial_id']} with validation MAE "
                f"{trial['val_mae']}, "
                f"but trials.parquet has {validated[trial['trial_id']]}."
            )
        for split in ("val", "test"):
            expected = dataset["split"][record["target"]][split]
            got = int((final.predictions["split"] == split).sum()) + final.absent[split]
            if got != expected:
                notes.append(f"{record['run_id']}: predictions for {got} of the {expected} {split} crystals.")
    return notes
