"""The record for Matbench, read and validated by matbench 0.6 (installed without its dependencies)."""

import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from matbench_folds import fold_predictions

from suite.exporting.matbench import write_matbench


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> type:
    """matbench's class; what it wants of matminer is not needed for reading a record."""
    for name in ("matminer", "matminer.datasets", "matminer.datasets.utils", "matminer.featurizers"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.setitem(sys.modules, "matminer.featurizers.conversions", MagicMock())
    sys.modules["matminer.datasets.utils"]._load_dataset_dict = lambda: defaultdict(dict)
    return pytest.importorskip("matbench.bench").MatbenchBenchmark


def test_matbench_reads_the_record_and_finds_the_same_errors(reader: type, tmp_path: Path) -> None:
    folds = fold_predictions()
    path = write_matbench(folds, tmp_path)
    with gzip.open(path, "rt") as file:
        record = json.load(file)
    read = reader.from_dict(json.loads(json.dumps(record)))  # type: ignore[attr-defined]
    task = read.matbench_jdft2d
    task.validate()
    assert task.all_folds_recorded
    mean = sum(fold["scores"]["mae"] for fold in record["tasks"]["matbench_jdft2d"]["results"].values()) / 5
    assert task.scores.mae.mean == pytest.approx(mean)


def test_matbench_notices_a_change(reader: type, tmp_path: Path) -> None:
    with gzip.open(write_matbench(fold_predictions(), tmp_path), "rt") as file:
        record = json.load(file)
    record["user_metadata"]["algorithm"] = "another"
    with pytest.raises(ValueError, match="Hash"):
        reader.from_dict(record)  # type: ignore[attr-defined]
