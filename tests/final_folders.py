"""Final runs as a search leaves them, and what tests do to run folders."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def write_final(folder: Path, predictions: pd.DataFrame, record: dict[str, Any], epochs: int) -> None:
    """Writes one final run; the metrics of run.json are those of `predictions`, by formulas of our own."""
    folder.mkdir(parents=True)
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    metrics = {}
    for split, rows in predictions.dropna(subset=["y_pred"]).groupby("split"):
        error = (rows["y_true"] - rows["y_pred"]).to_numpy()
        centred = (rows["y_true"] - rows["y_true"].mean()).to_numpy()
        metrics[str(split)] = {
            "mae": float(np.abs(error).mean()),
            "rmse": float(np.sqrt((error**2).mean())),
            "r2": float(1 - (error**2).sum() / (centred**2).sum()),
        }
    if record["kept"] == "averaged":
        metrics |= {
            f"{split}_raw": {name: value * 1.02 for name, value in metrics[split].items()}
            for split in ("val", "test")
        }
    write_json(folder / "run.json", record | {"metrics": metrics})
    steps = np.arange(1, epochs + 1)
    errors = metrics["val"]["mae"] * (1 + 2.5 * np.exp(-steps / 1.5))
    pd.DataFrame(
        {
            "epoch": steps,
            "train_mae": errors * 0.8,
            "val_mae": errors,
            "val_mae_raw": errors * 1.02,
            "lr": 1e-3,
            "grad_norm": 1.0,
            "crystals_per_s": 500.0,
            "seconds": record["train_s_per_epoch"] or 0.0,
        }
    ).to_csv(folder / "curve.csv", index=False)


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Writes one JSON file."""
    path.write_text(json.dumps(record, indent=1), encoding="utf-8")


def edit_json(path: Path, **changes: Any) -> None:
    """Changes top-level keys of a JSON file."""
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | changes)


def final_folders(run: Path, model: str) -> Iterable[Path]:
    """The final runs of one model, in order of their names."""
    return sorted((run / "final").glob(f"{model}-*"))
