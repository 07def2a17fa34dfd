"""Every registered model, really trained on crystals of the bundled data: all that its report states is what
the files of its runs give.
"""

from pathlib import Path

import pandas as pd
import pytest
from trained_run import TARGET

from reports.build import build
from reports.recompute.tables import TABLES, recompute
from reports.trace import main as trace
from suite.registry import MODELS


@pytest.fixture(scope="module")
def report(run_of_all_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build([run_of_all_models], tmp_path_factory.mktemp("traced") / "report")


def test_every_measured_cell_of_every_table_agrees(run_of_all_models: Path, report: Path) -> None:
    tables = {table.name: table for table in recompute([run_of_all_models], report)}
    assert set(tables) == {name for name in TABLES if (report / name).exists()}
    assert set(tables) >= {"mae_table.csv", "errors_by_group.csv", "worst_crystals.csv"}
    checks = {name: table.checks for name, table in tables.items()}
    assert [check.sentence for each in checks.values() for check in each if not check.agrees] == []
    written = pd.read_csv(report / "mae_table.csv").query("kind == 'measured'")
    assert set(written["model"]) == set(MODELS)
    for model in MODELS:
        assert sum(f" {model}," in check.what for check in checks["mae_table.csv"]) >= 2 * 18
        for name in ("errors_by_group.csv", "worst_crystals.csv"):
            assert any(f" {model}," in check.what for check in checks[name]), (model, name)


@pytest.mark.parametrize("model", MODELS)
def test_the_chain_of_every_model_leads_to_its_origin(
    run_of_all_models: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace([str(run_of_all_models), "--model", model, "--target", TARGET]) == 0
    said = capsys.readouterr().out
    assert "agrees" in said
    assert "DISAGREES" not in said
