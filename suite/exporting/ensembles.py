"""The test predictions of a finished run: true values, and the mean over the seeds of the best model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.prediction.finished_run import best_finals, ensemble_table
from suite.prediction.saved import UnusableModel


@dataclass(frozen=True)
class RunPredictions:
    """Of one target: id -> value, in the order of the run, and what the run says of itself."""

    folder: Path
    target: str
    model: str
    label: str
    dataset: dict[str, Any]
    split_hash: str
    config: dict[str, Any]
    true: dict[str, float]
    predicted: dict[str, float]


def predictions_of(folder: Path, target: str | None, model: str | None) -> RunPredictions:
    """Those of a run for a target (None: the only one it has).

    Raises:
        UnusableModel: the run cannot be used, has several targets or not this one, or a test crystal has no
            prediction.
    """
    found = {group[0].record["target"]: (search, group) for search, group in best_finals(folder, model)}
    if target is None and len(found) > 1:
        raise UnusableModel(f"{folder}: --target: expected one of {', '.join(found)}, got none")
    if target is not None and target not in found:
        raise UnusableModel(f"{folder}: --target: expected one of {', '.join(found)}, got {target}")
    search, group = found[target] if target else next(iter(found.values()))
    rows = ensemble_table(group)
    rows = rows[rows["split"] == "test"]
    missing = rows.index[rows["y_pred"].isna()].tolist()
    if missing:
        raise UnusableModel(
            f"{folder}: expected a prediction of every test crystal, got none of {len(missing)}, such as "
            f"{missing[0]!r}, which {group[0].record['label']} cannot represent"
        )
    record = group[0].record
    return RunPredictions(
        folder=folder,
        target=record["target"],
        model=record["model"],
        label=record["label"],
        dataset=search["dataset"],
        split_hash=record["split_hash"],
        config=record["config"],
        true={id_: float(value) for id_, value in rows["y_true"].items()},
        predicted={id_: float(value) for id_, value in rows["y_pred"].items()},
    )
