"""Submission files have the form that Matbench and JARVIS-Leaderboard read."""

import csv
import gzip
import hashlib
import io
import json
import math
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matbench_folds import fold_predictions
from trained_run import TARGET

from crystalformer.data.catalog import DATASETS
from suite.export import main
from suite.exporting.jarvis import names_of, write_jarvis
from suite.exporting.matbench import scores, write_matbench
from suite.prediction.saved import UnusableModel


def test_a_matbench_record_has_all_folds_scored_and_its_hash(tmp_path: Path) -> None:
    folds = fold_predictions()
    path = write_matbench(folds, tmp_path / "out")
    assert path.name == "results.json.gz"
    with gzip.open(path, "rt") as file:
        record = json.load(file)
    assert set(record) == {
        "@module", "@class", "version", "benchmark_name", "datestamp", "user_metadata", "tasks", "hash",
    }  # fmt: skip
    (task,) = record["tasks"].values()
    assert list(record["tasks"]) == [task["dataset_name"]] == ["matbench_jdft2d"]
    assert set(task) == {"@module", "@class", "benchmark_name", "dataset_name", "results"}
    assert set(task["results"]) == {f"fold_{number}" for number in range(5)}
    dataset = DATASETS["matbench-jdft2d"]
    (split,) = dataset.splits.values()
    for number, digest in enumerate(split.fold_sha256):
        fold = task["results"][f"fold_{number}"]
        assert set(fold) == {"data", "parameters", "scores"}
        assert hashlib.sha256("\n".join(sorted(fold["data"])).encode()).hexdigest() == digest
        assert all(isinstance(value, float) for value in fold["data"].values())
        assert set(fold["scores"]) == {"mae", "rmse", "mape", "max_error"}
    assert sum(len(fold["data"]) for fold in task["results"].values()) == dataset.crystals
    body = {key: value for key, value in record.items() if key != "hash"}
    assert hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest() == record["hash"]


def test_the_scores_of_a_fold() -> None:
    true, predicted = {"a": 2.0, "b": -4.0, "c": 0.0}, {"c": 3.0, "a": 1.0, "b": -4.0}
    assert scores(true, predicted) == {
        "mae": pytest.approx(4 / 3),
        "rmse": pytest.approx(math.sqrt(10 / 3)),
        "mape": pytest.approx(0.25),  # without c, whose true value is 0
        "max_error": 3.0,
    }


def test_what_is_not_five_folds_is_refused(tmp_path: Path) -> None:
    folds = fold_predictions()
    for given, expected in [
        (folds[:4], "expected one for each of 5 folds, got fold_0"),
        ([*folds, folds[0]], "expected one for each of 5 folds"),
        ([replace(folds[0], predicted={"mb-jdft2d-001": 1.0})], "the test crystals of an official fold"),
        ([replace(fold, dataset={"name": "mine"}) for fold in folds], "one data set matbench-..., got mine"),
    ]:
        with pytest.raises(UnusableModel, match=expected):
            write_matbench(given, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_jarvis_contribution_is_the_test_split_of_the_run(run: Path, tmp_path: Path) -> None:
    data = run.parents[1] / "data"
    arguments = [str(run), "--model", "schnet", "--format", "jarvis", "--data", str(data)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    stem = f"AI-SinglePropertyPrediction-{TARGET}-small-test-mae"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{stem}.csv.zip", "metadata.json", f"small_{TARGET}.json.zip",
    ]  # fmt: skip
    assert len(stem.split("-")) == 6  # method, task, property, data set, split, metric
    with zipfile.ZipFile(tmp_path / "out" / f"{stem}.csv.zip") as archive:
        assert archive.namelist() == [f"{stem}.csv"]
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open(f"{stem}.csv"), encoding="utf-8")))
    assert list(rows[0]) == ["id", "target", "prediction"]
    with zipfile.ZipFile(tmp_path / "out" / f"small_{TARGET}.json.zip") as archive:
        split = json.loads(archive.read(f"small_{TARGET}.json"))
    assert {part: len(ids) for part, ids in split.items()} == {"train": 32, "val": 4, "test": 4}
    assert {row["id"]: float(row["target"]) for row in rows} == split["test"]
    finals = [
        pd.read_parquet(path.with_name("predictions.parquet")).set_index("id")
        for path in (run / "final").glob("schnet-*/run.json")
    ]
    expected = [np.mean([frame.y_pred[row["id"]] for frame in finals]) for row in rows]
    np.testing.assert_allclose([float(row["prediction"]) for row in rows], expected)


def test_known_benchmarks_of_jarvis_keep_their_names(run: Path, tmp_path: Path) -> None:
    search = json.loads((run / "search.json").read_text())
    digest = search["dataset"]["digest"]
    fold = replace(
        fold_predictions()[0],
        dataset={"name": "jarvis-dft-3d-2021", "digest": digest},
        target="formation_energy_per_atom",
    )
    assert names_of(fold) == ("dft_3d", "formation_energy_peratom")
    megnet = replace(fold, dataset={"name": "mp-2018.6.1", "digest": digest}, target="band_gap")
    assert names_of(megnet) == ("megnet", "gap_pbe")
    with pytest.raises(ValueError, match="jarvis-dft-3d-2021-"):  # its data are not here
        write_jarvis(fold, tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()
