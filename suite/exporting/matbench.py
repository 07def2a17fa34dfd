"""`results.json.gz`: a record for Matbench v0.1 (A. Dunn et al., npj Comput. Mater. 6 (2020) 138).

A task has five folds, so it takes five finished runs, one for each; which fold a run is, its test ids tell.
The file is what `MatbenchBenchmark.to_file` of matbench 0.6 writes, its hash included.
"""

import gzip
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from crystalformer.data.catalog import DATASETS
from suite.exporting.ensembles import RunPredictions
from suite.prediction.saved import UnusableModel

BENCHMARK, VERSION = "matbench_v0.1", "0.6"
RESULTS = "results.json.gz"
SMALLEST = 1e-5  # true values nearer to 0 do not enter mape


def write_matbench(folds: Sequence[RunPredictions], out: Path) -> Path:
    """Write the record of one task; gives its path.

    Raises:
        UnusableModel: not the five folds of one task.
    """
    names = sorted({fold.dataset["name"] for fold in folds})
    dataset = DATASETS.get(names[0]) if len(names) == 1 else None
    target = folds[0].target
    split = dataset.splits.get(target) if dataset and names[0].startswith("matbench-") else None
    if split is None:
        raise UnusableModel(f"runs: expected those of one data set matbench-..., got {', '.join(names)}")
    results: dict[str, Any] = {}
    for fold in folds:
        digest = hashlib.sha256("\n".join(sorted(fold.predicted)).encode()).hexdigest()
        if digest not in split.fold_sha256:
            raise UnusableModel(f"{fold.folder}: expected the test crystals of an official fold, got others")
        results[f"fold_{split.fold_sha256.index(digest)}"] = {
            "data": fold.predicted,
            "parameters": {"model": fold.model, **fold.config["model"]},
            "scores": scores(fold.true, fold.predicted),
        }
    if len(results) != len(split.fold_sha256) or len(results) != len(folds):
        found = ", ".join(sorted(results))
        raise UnusableModel(f"runs: expected one for each of {len(split.fold_sha256)} folds, got {found}")
    out.mkdir(parents=True, exist_ok=True)
    path = out / RESULTS
    with gzip.open(path, "wt", encoding="utf-8") as file:
        json.dump(_record(names[0].replace("-", "_", 1), results, folds[0]), file)
    return path


def scores(true: Mapping[str, float], predicted: Mapping[str, float]) -> dict[str, float]:
    """Matbench's four scores of a fold."""
    y, x = (np.array([values[id_] for id_ in true]) for values in (true, predicted))
    kept = np.abs(y) > SMALLEST
    return {
        "mae": float(np.abs(y - x).mean()),
        "rmse": math.sqrt(float(np.square(y - x).mean())),
        "mape": float(np.abs((y - x)[kept] / y[kept]).mean()) if kept.any() else 0.0,
        "max_error": float(np.abs(y - x).max()),
    }


def _record(task: str, results: dict[str, Any], first: RunPredictions) -> dict[str, Any]:
    record: dict[str, Any] = {
        "@module": "matbench.bench",
        "@class": "MatbenchBenchmark",
        "version": VERSION,
        "benchmark_name": BENCHMARK,
        "datestamp": datetime.now(UTC).strftime("%Y.%m.%d %H:%M.%S"),
        "user_metadata": {"algorithm": first.label, "suite": "crystalformer-suite"},
        "tasks": {
            task: {
                "@module": "matbench.task",
                "@class": "MatbenchTask",
                "benchmark_name": BENCHMARK,
                "dataset_name": task,
                "results": results,
            }
        },
    }
    # Over the JSON text with keys in order at every depth, without the hash itself.
    return record | {"hash": hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()}
