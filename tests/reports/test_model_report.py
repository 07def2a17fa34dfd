"""Where each model errs: groups and worst crystals by independent computation, and an honest page."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Element
from reports_page import page_of
from run_folders import RunFolderMaker
from scipy.stats import t

from reports import published
from reports.build import build
from reports.load import Results, load
from reports.mae_table import build as build_table
from reports.model_report.group_errors import group_errors
from reports.model_report.groups import ATOMS, ELEMENT, SPACE_GROUP, SYSTEM, TARGET, Group, groups
from reports.model_report.per_crystal import TaskErrors, task_errors
from reports.model_report.periodic import PLACES, periodic_table
from reports.model_report.tables import worst
from reports.run_folder import ReportError

TARGET_NAME = "log10_K_VRH"
MAKER = RunFolderMaker(floors={"mean": 0.9}, unrepresented={"cgcnn": 3}, test=60)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MAKER.write(tmp_path_factory.mktemp("models") / "run")


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    return build([run], run / "report")


@pytest.fixture(scope="module")
def errors(run: Path) -> TaskErrors:
    return errors_of(load([run]))


def errors_of(results: Results) -> TaskErrors:
    table = build_table(results, published.load())
    return task_errors(results, table, table.tasks[0])


def per_crystal(run: Path, model: str) -> pd.DataFrame:
    """Test predictions of all seeds, straight from the files."""
    tables = [pd.read_parquet(path) for path in sorted(run.glob(f"final/{model}-*/predictions.parquet"))]
    rows = pd.concat(tables).query("split == 'test'").dropna(subset=["y_pred"])
    rows["error"] = (rows["y_true"] - rows["y_pred"]).abs()
    return rows.groupby("id").agg(
        y_true=("y_true", "first"), error=("error", "mean"), y_pred=("y_pred", "mean")
    )


def of(grouping: str, found: list[Group]) -> list[Group]:
    return [group for group in found if group.grouping == grouping]


def test_every_crystal_is_in_one_group_of_each_grouping_but_elements(errors: TaskErrors) -> None:
    found = groups(errors)
    crystals = set(errors.crystals.index)
    assert len(crystals) == 60
    for grouping in (TARGET, ATOMS, SYSTEM):
        assert sum(len(group.ids) for group in of(grouping, found)) == len(crystals)
        assert set().union(*(group.ids for group in of(grouping, found))) == crystals
    known = errors.crystals["space_group"].notna()
    assert sum(len(group.ids) for group in of(SPACE_GROUP, found)) == known.sum() < len(crystals)
    assert [group.name for group in of(SYSTEM, found)] == ["trigonal", "cubic", "not found"]
    for group in of(ELEMENT, found):
        assert group.ids == {
            id_ for id_, symbols in errors.crystals["elements"].items() if group.name in symbols.split()
        }
    assert [group.name for group in of(ELEMENT, found)] == ["Cl", "Fe", "Na", "O", "Si"]


def test_sizes_double_and_ranges_share_no_value(errors: TaskErrors) -> None:
    found = groups(errors)
    assert [group.name for group in of(ATOMS, found)] == ["1 to 2", "9 to 16"]
    truth = errors.models[0].table["y_true"]
    ranges = of(TARGET, found)
    for group in ranges:
        inside = truth[truth.index.isin(group.ids)]
        assert (inside >= group.low).all()
        assert (inside < group.high).all() or group is ranges[-1]
    assert all(first.high <= second.low for first, second in pairwise(ranges))


def test_errors_and_intervals_are_those_of_the_files(run: Path, errors: TaskErrors) -> None:
    crystals = MAKER.crystals().set_index("id")
    found = group_errors(errors)
    for model in ("crystalformer", "cgcnn"):
        table = per_crystal(run, model)
        for element in ("Fe", "O"):
            values = table.loc[
                [id_ for id_ in table.index if element in crystals.loc[id_, "elements"].split()], "error"
            ]
            (mine,) = [
                e
                for e in found
                if (e.model.model, e.group.grouping, e.group.name) == (model, ELEMENT, element)
            ]
            low, high = t.interval(
                0.95, len(values) - 1, values.mean(), values.std(ddof=1) / np.sqrt(len(values))
            )
            assert mine.crystals == len(values)
            assert (mine.mae, mine.low, mine.high) == pytest.approx((values.mean(), low, high), rel=1e-12)
        total = sum(e.mae * e.crystals for e in found if (e.model.model, e.group.grouping) == (model, SYSTEM))
        assert total == pytest.approx(table["error"].sum())


def test_crystals_that_a_model_is_without_are_in_no_group_and_said(
    run: Path, errors: TaskErrors, report: Path
) -> None:
    best, other = errors.models
    assert (best.model, len(best.table), len(other.table)) == ("crystalformer", 60, 57)
    counts = {
        each.group.name: each.crystals for each in group_errors(errors) if each.group.grouping == SYSTEM
    }
    assert sum(counts.values()) == 57  # of the last model
    assert "CGCNN: elements and worst crystals; 3 of 60 crystals are not predicted" in page_of(run).text


def test_the_worst_are_the_worst_with_formula_and_id(run: Path, errors: TaskErrors, report: Path) -> None:
    table = per_crystal(run, "crystalformer").sort_values("error", ascending=False).head(20)
    assert list(worst(errors.models[0]).index) == list(table.index)
    written = pd.read_csv(report / "worst_crystals.csv").query("model == 'crystalformer'")
    assert written["id"].tolist() == list(table.index)
    assert written["error"].to_numpy() == pytest.approx(table["error"].to_numpy(), rel=1e-12)
    crystals = MAKER.crystals().set_index("id")
    assert written["formula"].tolist() == crystals.loc[table.index, "formula"].tolist()
    text = page_of(run).text
    assert f"{table.index[0]}{crystals.loc[table.index[0], 'formula']}" in text.replace("\n", "")


def test_floors_are_not_among_them(errors: TaskErrors, report: Path) -> None:
    assert {each.model for each in errors.models} == {"crystalformer", "cgcnn"}
    assert set(pd.read_csv(report / "errors_by_group.csv")["model"]) == {"crystalformer", "cgcnn"}


def test_the_periodic_table_is_the_periodic_table() -> None:
    assert len(PLACES) == 118 == len(set(PLACES.values()))
    for symbol, (column, row) in PLACES.items():
        element = Element(symbol)
        if element.is_lanthanoid or element.is_actinoid:
            assert (column, row) == (element.Z - (57 if element.is_lanthanoid else 89) + 2, element.row + 2)
        else:
            assert (column + 1, row + 1) == (element.group, element.row)


def test_colours_and_words_follow_the_errors(errors: TaskErrors, report: Path, run: Path) -> None:
    found = group_errors(errors)
    table = periodic_table(errors, errors.models[0], found, titled=True)
    assert table is not None
    mine = {e.group.name: e for e in found if e.model is errors.models[0] and e.group.grouping == ELEMENT}
    ordered = sorted(mine, key=lambda name: mine[name].mae)
    cells = {cell.symbol: cell for cell in table.cells}
    assert (cells[ordered[0]].share, cells[ordered[-1]].share) == (0, 100)
    assert cells["U"].share is None
    assert f"{ordered[-1]}: " in cells[ordered[-1]].words
    assert table.alt.index(f"Highest: {ordered[-1]}") < table.alt.index(f"Lowest: {ordered[0]}")
    drawings = [each for each in page_of(run).every("svg") if each["class"] == "elements"]
    assert len(drawings) == 2
    assert drawings[0]["aria-label"] == table.alt


def test_one_frequent_element_makes_no_scale(errors: TaskErrors) -> None:
    first, *others = [each for each in group_errors(errors) if each.group.grouping == ELEMENT]
    rare = [replace(each, crystals=1) for each in others]
    table = periodic_table(errors, errors.models[0], [replace(first, crystals=9), *rare], titled=True)
    assert table is not None
    shares = {cell.share for cell in table.cells if cell.share is not None}
    assert {0, 100} < shares
    assert table.low != table.high


def test_a_folder_without_descriptions_is_told_how_to_get_them(tmp_path: Path) -> None:
    run = RunFolderMaker(described=False, seeds=(0,)).write(tmp_path / "run")
    build([run], run / "report")
    page = page_of(run)
    assert "does not describe its crystals (crystals.parquet)" in page.text
    assert not page.every("svg")
    written = pd.read_csv(run / "report" / "errors_by_group.csv")
    assert set(written["grouping"]) == {TARGET}
    assert pd.read_csv(run / "report" / "worst_crystals.csv")["formula"].isna().all()


@pytest.mark.parametrize("content", [b"PAR1", None])
def test_a_damaged_description_is_named(tmp_path: Path, content: bytes | None) -> None:
    run = RunFolderMaker(seeds=(0,)).write(tmp_path / "run")
    path = run / "crystals.parquet"
    if content is None:
        MAKER.crystals().drop(columns="formula").to_parquet(path, index=False)
    else:
        path.write_bytes(content)
    with pytest.raises(
        ReportError, match=r"crystals\.parquet: (unreadable|expected the columns .* missing formula)"
    ):
        build([run], run / "report")
