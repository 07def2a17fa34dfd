"""Every measured cell of every table is computed again, and a changed one is found wherever it stands."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import numpy as np
import pandas as pd
import pytest
from ablation_folders import FACTORS, write_ablation
from final_folders import edit_json
from run_folders import RunFolderMaker

from reports.build import build, build_ablation
from reports.mae_table import CSV_COLUMNS
from reports.recompute.tables import TEXTS, recompute
from reports.trace import main as trace

# Columns that say what a row is, or where a published number comes from.
KEYS = {
    "model", "dataset", "target", "split", "run_ids", "kind", "source", "experiment", "grouping", "group",
    "from", "to", "other_experiment", "other_model", "rank", "id", "design", "factor", "value", "reference",
    "differences",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of the same crystals; one with floors, unrepresented crystals and near-duplicates."""
    folder = tmp_path_factory.mktemp("recompute")
    first = RunFolderMaker(floors={"mean": 0.9, "forest": 0.2}, unrepresented={"cgcnn": 3}, val=25, test=40)
    second = RunFolderMaker(
        name="deep", errors={"crystalformer": 0.05}, settings={"num_layers": 7}, val=25, test=40
    )
    made = [first.write(folder / "first"), second.write(folder / "deep")]
    near = {"near": 2, "same_cell": 1, "near_ids": ["mp-30", "mp-31"]}
    search = pd.read_json(made[0] / "search.json", typ="series")
    duplicates = {"log10_K_VRH": {"rule": "alike", "val": {**near, "near": 0, "near_ids": []}, "test": near}}
    edit_json(made[0] / "search.json", dataset=search["dataset"] | {"duplicates": duplicates})
    return made


@pytest.fixture(scope="module")
def report(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(runs, tmp_path_factory.mktemp("report") / "report")


def cells_of(name: str, table: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """A row and a column for each column with a measured value, the last row that has one."""
    if name == "mae_table.csv":
        table = table[table["kind"] != "published"]
    for column in table.columns:
        present = table.index[table[column].notna()]
        if column not in KEYS and len(present):
            yield int(present[-1]), column


def test_everything_agrees(runs: list[Path], report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace([*map(str, runs), "--all", "--report", str(report)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "agrees"
    assert [line.split()[0] for line in printed.splitlines()[:-1]] == [
        "mae_table.csv", "errors_by_group.csv", "worst_crystals.csv", "paired_differences.csv",
    ]  # fmt: skip


def test_every_column_of_every_table_is_checked_cell_by_cell(
    runs: list[Path], report: Path, tmp_path: Path
) -> None:
    """One cell of each column is changed in turn, and that cell is named."""
    for name in ("mae_table.csv", "errors_by_group.csv", "worst_crystals.csv", "paired_differences.csv"):
        table = pd.read_csv(report / name, dtype=dict.fromkeys(TEXTS, "str"))
        places = list(cells_of(name, table))
        assert len(places) >= 4
        changed = table.copy()
        for row, column in places:
            value = table.loc[row, column]
            new = f"{value}x" if isinstance(value, str) else value + 1
            changed[column] = changed[column].astype(object)
            changed.loc[row, column] = new
        (folder := tmp_path / name).mkdir()
        changed.to_csv(folder / name, index=False)
        (found,) = recompute(runs, folder)
        wrong = [check.what for check in found.checks if not check.agrees]
        for _, column in places:
            if column != "unit" or name == "mae_table.csv":
                assert any(what.endswith(f", {column}") for what in wrong), (name, column)
        assert len(wrong) <= len(places)


def test_all_columns_of_the_mae_table_are_measured_or_name_the_row(runs: list[Path], report: Path) -> None:
    (found, *_) = recompute(runs, report)
    assert {check.what.rpartition(", ")[2] for check in found.checks} == set(CSV_COLUMNS) - KEYS


def test_a_worst_crystal_that_is_not_is_found(runs: list[Path], report: Path, tmp_path: Path) -> None:
    table = pd.read_csv(report / "worst_crystals.csv")
    table.iloc[1:20] = table.iloc[2:21].to_numpy()
    table.to_csv(tmp_path / "worst_crystals.csv", index=False)
    assert trace([*map(str, runs), "--all", "--report", str(tmp_path)]) == 1


@pytest.mark.parametrize("factorial", [False, True])
def test_ablations(tmp_path: Path, factorial: bool, capsys: pytest.CaptureFixture[str]) -> None:
    def error(point: dict, seed: int) -> float:
        noise = np.random.default_rng([seed, *map(ord, str(sorted(point.items())))]).normal(0, 0.003)
        return 0.1 + 0.01 * (point["num_layers"] == 1) + noise

    run = write_ablation(tmp_path / "run", error, factorial=factorial)
    build_ablation([run], run / "report")
    assert trace([str(run), "--all"]) == 0
    assert "ablation.csv" in capsys.readouterr().out
    table = pd.read_csv(run / "report" / "ablation.csv")
    assert len(table) >= sum(len(values) - 1 for values in FACTORS.values())
    for column in ("difference", "low", "high", "p_holm", "percent", "baseline_val_mae", "n_seeds"):
        changed = table.copy()
        changed.loc[0, column] += 1
        changed.to_csv(run / "report" / "ablation.csv", index=False)
        assert trace([str(run), "--all"]) == 1
        assert f", {column}: stated" in capsys.readouterr().out


def test_wrong_input_is_one_line(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace([str(runs[0]), "--all", "--report", str(tmp_path)]) == 2
    assert "expected tables such as mae_table.csv, got none" in capsys.readouterr().err
    copytree(runs[1], tmp_path / "other")
    build([runs[0]], tmp_path / "report")
    assert trace([str(tmp_path / "other"), "--all", "--report", str(tmp_path / "report")]) == 2
    assert "is that of the search quickstart" in capsys.readouterr().err
    for arguments in ([str(runs[0])], [*map(str, runs), "--model", "cgcnn", "--target", "x"]):
        with pytest.raises(SystemExit) as ended:
            trace(arguments)
        assert ended.value.code == 2
        assert "--all for every table" in capsys.readouterr().err
