"""No record of the search holds an error of the test split: no table, study, curve or log."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

NAMES = ("mae", "rmse", "r2")


def numbers(value: Any) -> Iterator[float]:
    """Every number in a JSON value, and in JSON that is stored as text."""
    if isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers(each)
    elif isinstance(value, str) and value[:1] in "{[":
        yield from numbers(json.loads(value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def in_tables(path: Path) -> Iterator[float]:
    """Every number in a SQLite file."""
    with sqlite3.connect(path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    try:
                        yield from numbers(cell)
                    except ValueError:  # a text that only looks like JSON
                        continue


def in_logs(folder: Path) -> Iterator[float]:
    """Every scalar that TensorBoard would show."""
    for events in {path.parent for path in folder.rglob("events.out.tfevents.*")}:
        log = EventAccumulator(str(events)).Reload()
        for tag in log.Tags()["tensors"]:
            for event in log.Tensors(tag):
                yield from map(float, event.tensor_proto.float_val)
                raw = event.tensor_proto.tensor_content
                if raw and event.tensor_proto.dtype == 1:  # float32
                    yield from np.frombuffer(raw, dtype=np.float32).astype(float).tolist()


def errors_on_test(run: Path) -> set[float]:
    """Of all final runs, of kept and of raw weights, as float32, which is what TensorBoard keeps."""
    found = set()
    for path in run.glob("final/*/run.json"):
        record = json.loads(path.read_text())
        if not record.get("floor"):
            metrics = [record["metrics"].get(split) or {} for split in ("test", "test_raw")]
            found |= {float(np.float32(each[name])) for each in metrics for name in NAMES if each.get(name)}
    return found


@pytest.mark.parametrize("record", ["search.json", "trials.parquet", "study.db", "trials", "tensorboard"])
def test_a_record_of_the_search_holds_no_test_error(finished: Path, record: str) -> None:
    run = finished / "runs" / "small"
    path = run / record
    if record == "trials":
        curves = [pd.read_csv(curve) for curve in path.glob("*/curve.csv")]
        held = [value for curve in curves for value in curve.to_numpy(np.float64).ravel().tolist()]
    elif record == "trials.parquet":
        held = list(numbers(pd.read_parquet(path).to_dict("records")))
    elif record == "search.json":
        held = list(numbers(json.loads(path.read_text())))
    else:
        held = list(in_tables(path) if record == "study.db" else in_logs(path))
    assert len(held) > 20
    # Validation errors are there, so that test errors would be found if they were.
    trials = pd.read_parquet(run / "trials.parquet")
    seen = {float(np.float32(value)) for value in held}
    if record != "search.json":
        assert set(trials["val_mae"].astype(np.float32).astype(float)) <= seen
    errors = errors_on_test(run)
    assert len(errors) >= 12
    assert not errors & seen


def test_that_check_can_fail(finished: Path) -> None:
    run = finished / "runs" / "small"
    value = next(iter(errors_on_test(run)))
    record = json.loads((run / "search.json").read_text()) | {"note": json.dumps({"deep": [1, value]})}
    assert {float(np.float32(each)) for each in numbers(record)} & errors_on_test(run)
