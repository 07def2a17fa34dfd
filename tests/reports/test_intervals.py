"""Bootstrap intervals against theory and SciPy, and the columns of the table that stand beside the MAE."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from final_folders import final_folders, write_final
from run_folders import UNIT, RunFolderMaker
from scipy.stats import bootstrap

from reports import intervals as module
from reports import published
from reports.build import build
from reports.intervals import intervals
from reports.load import load
from reports.mae_table import build as build_table
from reports.rounding import between


def errors_of(crystals: int, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"model": np.random.default_rng(seed).exponential(0.1, crystals)})


def test_equal_errors_have_no_width() -> None:
    found = intervals(pd.DataFrame({"model": [0.25] * 40}))
    assert found.loc["model"].tolist() == pytest.approx([0.25, 0.25], rel=1e-14)


def test_many_crystals_give_the_interval_of_the_central_limit_theorem() -> None:
    errors = errors_of(4000)
    low, high = intervals(errors).loc["model"]
    half = 1.96 * errors["model"].std() / np.sqrt(4000)
    assert (high - low) / 2 == pytest.approx(half, rel=0.06)
    assert (high + low) / 2 == pytest.approx(errors["model"].mean(), abs=0.1 * half)


def test_few_crystals_give_the_interval_of_scipy() -> None:
    errors = errors_of(30)["model"]
    oracle = bootstrap(
        (errors.to_numpy(),), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    low, high = intervals(errors.to_frame()).loc["model"]
    assert low == pytest.approx(oracle.low, rel=0.03)
    assert high == pytest.approx(oracle.high, rel=0.03)


def test_unit_and_offset_go_through() -> None:
    errors = errors_of(50)
    low, high = intervals(errors).loc["model"]
    assert intervals(1000 * errors).loc["model"].tolist() == pytest.approx([1000 * low, 1000 * high])
    assert intervals(errors + 1).loc["model"].tolist() == pytest.approx([1 + low, 1 + high])


def test_blocks_of_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = errors_of(20)
    whole = intervals(errors)
    pd.testing.assert_frame_equal(intervals(errors), whole, check_exact=True)
    monkeypatch.setattr(module, "MOST_COUNTS", 20 * 700)
    pd.testing.assert_frame_equal(intervals(errors), whole, rtol=1e-14)


def test_a_crystal_without_prediction_has_no_weight() -> None:
    errors = errors_of(400)
    errors["partial"] = errors["model"].where(np.arange(400) < 200)
    errors["none"] = np.nan
    found = intervals(errors)
    alone = intervals(errors[["model"]].iloc[:200]).loc["model"]
    assert found.loc["partial"].tolist() == pytest.approx(alone.tolist(), rel=0.03)
    assert found.loc["none"].isna().all()


def test_an_interval_is_printed_with_the_decimals_it_supports() -> None:
    assert between(0.06112, 0.0789) == "0.061 to 0.079"
    assert between(0.25, 0.25) == "0.250 to 0.250"
    assert between(float("nan"), 0.2) == ""


def test_the_table_has_interval_rmse_r2_and_mad_of_its_predictions(tmp_path: Path) -> None:
    run = RunFolderMaker(floors={"mean": 0.3}).write(tmp_path / "run")
    build([run], run / "report")
    with (run / "report" / "mae_table.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] != "published"]
    assert len(rows) == 6
    for row in rows:
        tables = [
            pd.read_parquet(run / "final" / run_id / "predictions.parquet")
            for run_id in row["run_ids"].split()
        ]
        parts = [table[table["split"] == row["split"]] for table in tables]
        squares = [np.sqrt(((part["y_true"] - part["y_pred"]) ** 2).mean()) for part in parts]
        truth = parts[0]["y_true"]
        explained = [1 - square**2 / ((truth - truth.mean()) ** 2).mean() for square in squares]
        assert float(row["rmse"]) == pytest.approx(np.mean(squares), rel=1e-12)
        assert float(row["r2"]) == pytest.approx(np.mean(explained), rel=1e-9)
        assert float(row["mad"]) == pytest.approx((truth - truth.mean()).abs().mean(), rel=1e-12)
        assert float(row["mae_low"]) < float(row["mae"]) < float(row["mae_high"])


def test_page_and_markdown_have_every_column_and_paper_those_that_fit(quickstart: Path) -> None:
    page = (quickstart / "report" / "index.html").read_text(encoding="utf-8")
    markdown = (quickstart / "report" / "mae_table.md").read_text(encoding="utf-8")
    paper = (quickstart / "report" / "mae_table.tex").read_text(encoding="utf-8")
    for name in ("95 % interval (test)", f"Test RMSE ({UNIT})", "Test R²"):
        assert name in page
        assert name in markdown
    assert "interval" in paper
    assert "RMSE" not in paper
    frame = build_table(load([quickstart]), published.load()).frame
    for row in frame[(frame["kind"] == "measured") & (frame["split"] == "test")].itertuples():
        text = between(row.mae_low, row.mae_high)
        assert re.fullmatch(r"0\.\d+ to 0\.\d+", text)
        assert text in page
        assert text in markdown


def test_a_model_without_test_predictions_has_no_interval_of_the_test(tmp_path: Path) -> None:
    """Validation alone was predicted: the columns of the test split are empty, not those of validation."""
    run = RunFolderMaker(errors={"cgcnn": 0.1}, seeds=(0,)).write(tmp_path / "run")
    (final,) = final_folders(run, "cgcnn")
    record = json.loads((final / "run.json").read_text())
    table = pd.read_parquet(final / "predictions.parquet").query("split == 'val'")
    for path in final.iterdir():
        path.unlink()
    final.rmdir()
    write_final(final, table, record, epochs=2)
    build([run], run / "report")
    line = next(
        text for text in (run / "report" / "mae_table.md").read_text().splitlines() if "CGCNN" in text
    )
    assert " to " not in line
    assert "MAD:MAE:" not in (run / "report" / "mae_table.md").read_text()
