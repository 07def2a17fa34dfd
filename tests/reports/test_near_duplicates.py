"""The deduplicated error beside the raw one, where the search recorded near-duplicates."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from final_folders import edit_json
from run_folders import RunFolderMaker

from reports import published
from reports.load import load
from reports.mae_table import build
from reports.render import markdown_text, printed_tables

TARGET = "log10_K_VRH"


def run_with(folder: Path, test_ids: list[str]) -> Path:
    run = RunFolderMaker().write(folder)
    dataset: dict[str, Any] = json.loads((run / "search.json").read_text())["dataset"]
    found = {
        "rule": "a rule",
        "val": {"near": 0, "same_cell": 0, "near_ids": []},
        "test": {"near": len(test_ids), "same_cell": 1, "near_ids": test_ids},
    }
    edit_json(run / "search.json", dataset=dataset | {"duplicates": {TARGET: found}})
    return run


def test_the_deduplicated_error_is_over_the_other_crystals(tmp_path: Path) -> None:
    ids = [f"mp-{number}" for number in range(40, 60)]
    run = run_with(tmp_path / "run", ids)
    results = load([run])
    table = build(results, published.load())
    for row in table.frame[table.frame["kind"] == "measured"].itertuples():
        errors = []
        for run_id in row.run_ids.split():
            rows = pd.read_parquet(run / "final" / run_id / "predictions.parquet")
            rows = rows[(rows["split"] == row.split) & ~rows["id"].isin(ids)]
            errors.append((rows["y_true"] - rows["y_pred"]).abs().mean())
        assert row.mae_deduplicated == pytest.approx(sum(errors) / 3, rel=1e-12)
        assert (row.mae_deduplicated == row.mae) == (row.split == "val")
    text = markdown_text(printed_tables(table, results), "")
    assert "Test MAE, deduplicated (log10(GPa))" in text
    assert "20 of the 50 test crystals have one in training (a rule), 1 of them" in text


def test_without_any_there_is_no_column(tmp_path: Path) -> None:
    results = load([run_with(tmp_path / "run", [])])
    text = markdown_text(printed_tables(build(results, published.load()), results), "")
    assert "deduplicated" not in text
    assert "none of the 50 test crystals has one in training" in text


def test_a_search_that_did_not_look_claims_nothing(tmp_path: Path) -> None:
    results = load([RunFolderMaker().write(tmp_path / "run")])
    table = build(results, published.load())
    assert table.frame.loc[table.frame["kind"] == "measured", "mae_deduplicated"].isna().all()
    assert "uplicate" not in markdown_text(printed_tables(table, results), "")


def test_a_split_of_duplicates_alone_has_no_deduplicated_error(tmp_path: Path) -> None:
    results = load([run_with(tmp_path / "run", [f"mp-{number}" for number in range(40, 90)])])
    frame = build(results, published.load()).frame
    rows = frame[(frame["kind"] == "measured") & (frame["split"] == "test")]
    assert rows["mae_deduplicated"].isna().all()
