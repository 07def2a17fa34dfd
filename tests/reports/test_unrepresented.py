"""Crystals that a model cannot represent: counted and explained on every page, and no error of the others."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from final_folders import edit_json, final_folders
from run_folders import RunFolderMaker

from reports import published
from reports.answer import answers
from reports.build import build
from reports.comparison import Comparison, Rival
from reports.load import load
from reports.mae_table import build as build_table
from reports.render import markdown_text, printed_tables
from reports.run_folder import ReportError
from reports.unrepresented import Unrepresented


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return RunFolderMaker(unrepresented={"cgcnn": 3}, seeds=(0, 1)).write(tmp_path / "run")


def test_they_are_counted_where_errors_are_shown(run: Path) -> None:
    results = load([run])
    table = build_table(results, published.load())
    (printed, _) = printed_tables(table, results)
    column = printed.header.index("Predicted crystals") - 1
    assert {row.label: row.cells[column].text for row in printed.rows} == {
        "Crystalformer": "50 of 50",
        "CGCNN": "47 of 50",
    }
    sentence = (
        "CGCNN cannot represent 3 of 400 training, 3 of 40 validation and 3 of 50 test crystals: "
        "reason 0 (5); reason 1 (4). Its errors are over the others."
    )
    assert sentence in printed.notes
    assert sentence in " ".join(markdown_text([printed], "").split())
    assert "predictions for" not in " ".join(results.notes)


def test_errors_are_over_the_others(run: Path) -> None:
    table = build_table(load([run]), published.load())
    rows = table.frame.query("model == 'cgcnn' and kind == 'measured'")
    for row in rows.itertuples():
        errors = []
        for run_id in row.run_ids.split():
            stored = pd.read_parquet(run / "final" / run_id / "predictions.parquet")
            mine = stored[stored["split"] == row.split].dropna()
            errors.append((mine["y_true"] - mine["y_pred"]).abs().mean())
        assert row.mae == pytest.approx(sum(errors) / len(errors), rel=1e-12)
    (comparison,) = [found for (_, split), found in table.comparisons.items() if split == "test"]
    assert comparison is not None
    assert (comparison.rivals[0].crystals, comparison.crystals) == (47, 50)


def test_the_page_says_so(run: Path) -> None:
    build([run], run / "report")
    page = re.sub(r"\s+", " ", (run / "report" / "index.html").read_text(encoding="utf-8"))
    assert page.count("CGCNN cannot represent 3 of 400 training") == 2  # below the table, among the failures
    assert "CGCNN on 47 of 50." in page


def test_a_lower_error_on_easier_crystals_is_told(tmp_path: Path) -> None:
    run = RunFolderMaker(errors={"crystalformer": 0.05, "cgcnn": 0.1}, seeds=(0,)).write(tmp_path / "run")
    table = build_table(load([run]), published.load())
    ((task, split),) = [key for key in table.comparisons if key[1] == "test"]
    turned = Comparison("CGCNN", (Rival("Crystalformer", -0.01, 0.001, 40),), 50)
    (answer,) = answers(replace(table, comparisons={(task, split): turned}), load([run]))
    assert answer.headline.endswith("test crystals, but Crystalformer has a lower one on the same crystals.")
    assert "On the crystals that both predict, a paired test finds Crystalformer (p = 0.0010) better." in (
        answer.detail
    )
    assert "tie" not in answer.detail
    unsure = Comparison("CGCNN", (Rival("Crystalformer", -0.01, 0.2, 40),), 50)
    (answer,) = answers(replace(table, comparisons={(task, split): unsure}), load([run]))
    assert "does not support a difference to Crystalformer (p = 0.20): read it as a tie." in answer.detail


def test_many_ties_are_counted_and_not_listed(tmp_path: Path) -> None:
    run = RunFolderMaker(errors={"crystalformer": 0.05, "cgcnn": 0.1}, seeds=(0,)).write(tmp_path / "run")
    table = build_table(load([run]), published.load())
    ((task, split),) = [key for key in table.comparisons if key[1] == "test"]
    p_values = [0.001, 0.06, 1.0, *[0.5] * 8]
    rivals = tuple(Rival(f"model {place}", 0.01, p, 47) for place, p in enumerate(p_values))
    many = Comparison("Crystalformer", rivals, 50)
    (answer,) = answers(replace(table, comparisons={(task, split): many}), load([run]))
    tied = "does not support a difference to 10 of the 11 other models (from model 1, p = 0.060, to model 2,"
    assert tied in answer.detail
    assert "can represent: all others on 47 of 50." in answer.detail


def test_without_any_the_table_has_no_such_column(quickstart: Path) -> None:
    assert "Predicted crystals" not in (quickstart / "report" / "mae_table.md").read_text()


def test_a_missing_prediction_without_a_reason_is_refused(run: Path) -> None:
    edit_json(final_folders(run, "cgcnn")[0] / "run.json", unrepresented={})
    with pytest.raises(ReportError, match="expected finite values, got 6 that are not"):
        load([run])


def test_a_prediction_of_an_unrepresented_crystal_is_refused(run: Path) -> None:
    edit_json(final_folders(run, "crystalformer")[0] / "run.json", unrepresented={"mp-1": "a reason"})
    with pytest.raises(ReportError, match=r"'mp-1', which run\.json lists as unrepresented"):
        load([run])


def test_many_reasons_are_summed_up() -> None:
    reasons = tuple((f"reason {n}", 1) for n in range(9))
    counts = {"train": 9, "val": 0, "test": 0}
    each = Unrepresented("run", "x", "cgcnn", "CGCNN", counts, dict.fromkeys(counts, 1200), reasons)
    assert each.sentence == (
        "CGCNN cannot represent 9 of 1,200 training crystals: reason 0 (1); reason 1 (1); reason 2 (1); "
        "reason 3 (1); reason 4 (1); 4 other reasons (4). Its errors are over the others."
    )
