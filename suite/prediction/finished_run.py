"""A run folder -> its trained models: for each target the one that is best on validation, over its seeds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file

from crystalformer import metrics
from crystalformer.data.cell_names import AS_GIVEN
from crystalformer.data.targets import TargetScaler
from crystalformer.data.training_range import TrainingRange
from suite.prediction.calibration import COVERAGE, Calibration
from suite.prediction.saved import SavedTarget, TrainedTarget, UnusableModel, Weights
from suite.records import read_json


@dataclass(frozen=True)
class Final:
    """A final run: its folder and what `run.json` says."""

    folder: Path
    record: dict[str, Any]

    @property
    def val_mae(self) -> float:
        """Mean absolute error on validation, in the target's unit."""
        return self.record["metrics"]["val"]["mae"]


def read_run(folder: Path, model: str | None = None) -> list[TrainedTarget]:
    """The targets of a run, in the order of its search space; see `best_finals`."""
    return [_trained(search, group) for search, group in best_finals(folder, model)]


def best_finals(folder: Path, model: str | None = None) -> list[tuple[dict[str, Any], list[Final]]]:
    """For each target of a run, in their order: the record of the search, and the final runs of one model.

    Args:
        folder: `runs/<name>`.
        model: key of the registry; None: for each target the model with the smallest mean validation error
            over its seeds.

    Raises:
        UnusableModel: the run is damaged or has no final run yet, or none of the model, or its weights cannot
            be read.
    """
    search = _read(folder / "search.json")
    try:
        targets, status = list(search["dataset"]["targets"]), search["status"]
    except (KeyError, TypeError):
        raise UnusableModel(
            f"{folder / 'search.json'}: expected the record of a search, got another file"
        ) from None
    finals = list(_finals(folder))
    found = []
    for target in targets:
        groups = _groups(finals, target)
        if not groups:
            raise UnusableModel(
                f"{folder}: expected a final run of a model for {target}, got none (the search is {status}); "
                f"finish it with: {search.get('command', 'python -m suite.search')}"
            )
        known = sorted({group[0].record["model"] for group in groups})
        groups = [group for group in groups if model in (None, group[0].record["model"])]
        if not groups:
            raise UnusableModel(f"{folder}: model: expected one of {', '.join(known)}, got {model!r}")
        found.append((search, min(groups, key=lambda group: fmean(final.val_mae for final in group))))
    return found


def _finals(folder: Path) -> Iterator[Final]:
    """The complete final runs of models; floors have no weights."""
    for path in sorted((folder / "final").glob("[!.]*/run.json")):
        record = _read(path)
        if isinstance(record, dict) and record.get("status") == "complete" and not record.get("floor"):
            yield Final(path.parent, record)


def _groups(finals: list[Final], target: str) -> list[list[Final]]:
    """The final runs for a target, those that differ by the seed alone together."""
    groups: dict[str, list[Final]] = {}
    for final in finals:
        if final.record["target"] == target:
            key = json.dumps([final.record["model"], final.record["config"]], sort_keys=True)
            groups.setdefault(key, []).append(final)
    return [sorted(group, key=lambda final: final.record["seed"]) for group in groups.values()]


def _trained(search: dict[str, Any], group: list[Final]) -> TrainedTarget:
    first = group[0].record
    if "training" not in first:
        raise UnusableModel(
            f"{group[0].folder / 'run.json'}: expected what the model was trained on (training), got "
            "a run of an earlier version; search again with --fresh"
        )
    predictions = ensemble_table(group).dropna()
    val = predictions[predictions["split"] == "val"]
    calibration = Calibration.fit(val["error"].to_numpy(), val["spread"].to_numpy())
    saved = SavedTarget(
        target=first["target"],
        unit=first["unit"],
        model=first["model"],
        config=first["config"]["model"],
        seeds=tuple(final.record["seed"] for final in group),
        cell=first["training"].get("cell", AS_GIVEN),
        scaler=TargetScaler.from_dict(first["training"]["scaler"]),
        training=TrainingRange.from_dict(first["training"]["range"]),
        calibration=calibration,
        about=_about(search, group, predictions, calibration),
    )
    return TrainedTarget(saved, tuple(_weights(final) for final in group))


def ensemble_table(group: list[Final]) -> pd.DataFrame:
    """By id: split, y_true, y_pred (mean over the seeds) with error and spread; NaN where one has none."""
    frames = [_table(final.folder / "predictions.parquet").set_index("id") for final in group]
    values = pd.concat([frame["y_pred"] for frame in frames], axis=1)
    result = frames[0][["split", "y_true"]].assign(
        y_pred=values.mean(axis=1, skipna=False), spread=values.std(axis=1, ddof=0, skipna=False)
    )
    return result.assign(error=(result["y_pred"] - result["y_true"]).abs())


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, columns=["id", "split", "y_true", "y_pred"])
    except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
        raise UnusableModel(
            f"{path}: expected the predictions of a final run, got a file that cannot be read ({error}); "
            "run the search again, which does that run again"
        ) from None


def _about(
    search: dict[str, Any], group: list[Final], predictions: pd.DataFrame, calibration: Calibration
) -> dict[str, Any]:
    record, data = group[0].record, search["dataset"]
    test = predictions[predictions["split"] == "test"]
    half_widths = calibration.uncertainty(test["spread"].to_numpy())
    return {
        "run": search["name"],
        "finished": search.get("finished"),
        "suite_version": search["suite_version"],
        "label": record["label"],
        "paper": record["paper"],
        "recipe": record["recipe"],
        "parameters": record["parameters"],
        "train": record["config"]["train"],
        "dataset": {"name": data["name"], "label": data["label"], "digest": data["digest"]},
        "split": data["split"][record["target"]],
        "errors": {
            part: {
                "mae_of_seeds": [final.record["metrics"][part]["mae"] for final in group],
                "mae": metrics.mae(rows["y_true"].to_numpy(), (rows["y_true"] + rows["error"]).to_numpy()),
                "crystals": len(rows),
            }
            for part, rows in predictions.groupby("split")
        },
        "coverage": {
            "nominal": COVERAGE,
            "test": float(np.mean(test["error"].to_numpy() <= half_widths)) if len(test) else None,
            "median_half_width": float(np.median(half_widths)) if len(test) else None,
        },
    }


def _weights(final: Final) -> Weights:
    path = final.folder / "model.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UnusableModel(
            f"{path}: expected the weights of a trained model, got a file that cannot be read ({error}); "
            f"delete the folder {final.folder} and run the search again, which trains it again"
        ) from None


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise UnusableModel(f"{path}: expected JSON, got a file that cannot be read ({error})") from None
