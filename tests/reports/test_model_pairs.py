"""Two runs side by side: paired differences per crystal, where they differ, and which settings do."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from reports_page import page_of
from run_folders import RunFolderMaker
from scipy.stats import ttest_1samp

from reports import published
from reports.build import build
from reports.load import load
from reports.mae_table import build as build_table
from reports.model_report.page import model_section
from reports.model_report.pairs import MOST_PAIRS, Pair, pairs
from reports.model_report.per_crystal import task_errors


def maker(name: str, error: float, model: str = "crystalformer", **settings: object) -> RunFolderMaker:
    return RunFolderMaker(name=name, errors={model: error}, settings=settings, test=80)


def pairs_of(*runs: Path) -> list[Pair]:
    results = load(list(runs))
    table = build_table(results, published.load())
    return pairs(results, task_errors(results, table, table.tasks[0]))


def errors_of(run: Path) -> pd.Series:
    rows = pd.concat([pd.read_parquet(path) for path in sorted(run.glob("final/*/predictions.parquet"))])
    rows = rows.query("split == 'test'")
    return (rows["y_true"] - rows["y_pred"]).abs().groupby(rows["id"]).mean()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pairs")
    return (
        maker("four", 0.08, num_layers=4, width=128).write(folder / "four"),
        maker("seven", 0.03, num_layers=7, width=128).write(folder / "seven"),
    )


def test_differences_are_paired_by_crystal(runs: tuple[Path, Path]) -> None:
    four, seven = runs
    (pair,) = pairs_of(four, seven)
    assert (pair.first.experiment, pair.second.experiment) == ("seven", "four")
    assert pair.settings == ("num_layers 7 against 4",)
    difference = errors_of(four) - errors_of(seven)
    assert pair.table["difference"].to_dict() == pytest.approx(difference.to_dict())
    test = ttest_1samp(difference, 0)
    interval = test.confidence_interval(0.95)
    assert (pair.mean, pair.low, pair.high, pair.p) == pytest.approx(
        (difference.mean(), *interval, test.pvalue)
    )
    assert pair.mean > 0
    for each in pair.groups:
        mine = difference[difference.index.isin(each.group.ids)]
        assert (each.crystals, each.mean) == (len(mine), pytest.approx(mine.mean()))
        if len(mine) > 1:
            assert each.p >= ttest_1samp(mine, 0).pvalue * (1 - 1e-9)


def test_the_page_says_where_they_differ(runs: tuple[Path, Path], tmp_path: Path) -> None:
    report = build(list(runs), tmp_path / "report")
    text = page_of(tmp_path).text
    assert "Settings that differ: num_layers 7 against 4." in text
    assert "error of Crystalformer (four) minus that of Crystalformer (seven) is +" in text
    assert "They differ for" in text
    written = pd.read_csv(report / "paired_differences.csv")
    of_all = written[written["grouping"] == "all"].iloc[0]
    difference = errors_of(runs[0]) - errors_of(runs[1])
    assert (of_all["experiment"], of_all["other_experiment"]) == ("seven", "four")
    assert of_all["difference"] == pytest.approx(difference.mean())
    assert list((report / "figures").glob("pair-*.png"))


def test_one_run_has_no_pair(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert pairs_of(runs[0]) == []
    build([runs[0]], tmp_path / "report")
    assert not (tmp_path / "report" / "paired_differences.csv").exists()


def test_different_models_are_paired_by_the_best_of_each_run(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = maker("other", 0.05, model="cgcnn").write(tmp_path / "other")
    assert [(p.first.model, p.second.model) for p in pairs_of(runs[0], other)] == [("cgcnn", "crystalformer")]


def test_many_runs_do_not_flood_the_page(tmp_path: Path) -> None:
    runs = [
        RunFolderMaker(name=f"r{n}", errors={"cgcnn": 0.05 + 0.01 * n}, seeds=(0,), val=5, test=12).write(
            tmp_path / f"r{n}"
        )
        for n in range(MOST_PAIRS + 2)
    ]
    found = pairs_of(*runs)
    assert len(found) == MOST_PAIRS
    assert len({p.first.experiment for p in found}) == 1


def test_equal_predictions_differ_nowhere(tmp_path: Path) -> None:
    first, second = (maker(name, 0.05).write(tmp_path / name) for name in ("a", "b"))
    (pair,) = pairs_of(first, second)
    assert (pair.mean, pair.p) == (0, 1)
    assert not any(each.shown for each in pair.groups)
    assert np.ptp(pair.table["difference"]) == 0
    results = load([first, second])
    section = model_section(results, build_table(results, published.load()), tmp_path)
    assert section is not None
    assert "paired_differences.csv" in section.files
