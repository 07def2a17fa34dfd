"""Floors stand in every table, marked, behind the models, and are no rivals of theirs."""

import csv
import re
from pathlib import Path

import pandas as pd
import pytest
from final_folders import edit_json, final_folders
from run_folders import RunFolderMaker

from reports import published
from reports.answer import answers
from reports.build import build
from reports.comparison import beside
from reports.load import load
from reports.mae_table import build as build_table
from reports.render import markdown_text, printed_tables
from suite.display import results_table

FLOORS = {"mean": 0.3, "forest": 0.15}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = RunFolderMaker(floors=FLOORS).write(tmp_path_factory.mktemp("floors") / "run")
    build([folder], folder / "report")
    return folder


def test_floors_are_marked_and_come_last(run: Path) -> None:
    results = load([run])
    (printed, _) = printed_tables(build_table(results, published.load()), results)
    assert [row.label for row in printed.rows] == [
        "Crystalformer", "CGCNN", "Random forest (floor)", "Training mean (floor)",
    ]  # fmt: skip
    cells = {row.label: [cell.text for cell in row.cells] for row in printed.rows}
    seeds = {label: values[printed.header.index("Seeds") - 1] for label, values in cells.items()}
    assert seeds["Training mean (floor)"] == "1"
    assert seeds["Random forest (floor)"] == "3"
    assert cells["Training mean (floor)"][printed.header.index("Parameters") - 1] == ""
    assert any(note.startswith("Floors: what needs no structure") for note in printed.notes)
    assert "nan" not in markdown_text([printed], "").lower()


def test_no_cell_of_the_page_is_a_missing_value(run: Path) -> None:
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    cells = re.findall(r"<td[^>]*>([^<]*)", page)
    assert len(cells) > 100
    assert not {"nan", "None", "NaN", "<NA>"} & set(cells)


def test_the_csv_calls_them_floors(run: Path) -> None:
    with (run / "report" / "mae_table.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] != "published"]
    kinds = {(row["model"], row["kind"]) for row in rows}
    assert kinds == {
        ("crystalformer", "measured"), ("cgcnn", "measured"), ("mean", "floor"), ("forest", "floor"),
    }  # fmt: skip
    for row in rows:
        errors = []
        for run_id in row["run_ids"].split(" "):
            predictions = pd.read_parquet(run / "final" / run_id / "predictions.parquet")
            mine = predictions[predictions["split"] == row["split"]]
            errors.append((mine["y_true"] - mine["y_pred"]).abs().mean())
        assert float(row["mae"]) == pytest.approx(sum(errors) / len(errors), rel=1e-12)


def test_they_are_no_rivals_but_the_best_is_held_against_them(run: Path) -> None:
    table = build_table(load([run]), published.load())
    assert not table.frame.query("kind == 'floor'")["bold"].any()
    for (task, split), comparison in table.comparisons.items():
        assert comparison is not None
        assert [rival.candidate for rival in comparison.rivals] == ["CGCNN"]
        over = table.over_floors[task, split]
        assert [rival.candidate for rival in over] == [
            "Random forest (floor)", "Training mean (floor)",
        ]  # fmt: skip
        assert all(rival.worse for rival in over)


def test_p_beside_a_floor_is_not_corrected_for_the_number_of_floors() -> None:
    model = pd.DataFrame({"m": [1.0, 1, 1, 1, 1]})
    floor = pd.DataFrame({"f": [2.0, 3, 4, 5, 6]})
    (alone,) = beside(model, floor)
    both = beside(model, floor.assign(g=floor["f"] + 1))
    assert both[0] == alone
    assert beside(pd.DataFrame(), floor) == ()


def test_the_answer_says_whether_the_floors_are_passed(tmp_path: Path, run: Path) -> None:
    def detail(folder: Path) -> str:
        results = load([folder])
        (answer,) = answers(build_table(results, published.load()), results)
        return answer.detail

    assert "Crystalformer is better than both floors: Random forest 0.1" in detail(run)
    low = RunFolderMaker(floors={"forest": 0.03}).write(tmp_path / "low")
    assert "Crystalformer is not shown to be better than a floor: Random forest 0.03" in detail(low)
    alone = RunFolderMaker(errors={"cgcnn": 0.05}, floors=FLOORS).write(tmp_path / "alone")
    assert "nothing to compare it with. CGCNN is better than both floors" in detail(alone)
    assert "floor" not in detail(RunFolderMaker().write(tmp_path / "none"))


def test_a_lost_floor_is_missing(tmp_path: Path) -> None:
    folder = RunFolderMaker(floors=FLOORS).write(tmp_path / "run")
    (mean,) = final_folders(folder, "mean")
    (mean / "run.json").unlink()
    edit_json(final_folders(folder, "forest")[0] / "run.json", status="failed")
    gaps = {gap.label: (gap.expected, gap.seeds) for gap in load([folder]).missing}
    assert gaps == {"Training mean": (1, (0,)), "Random forest": (3, (0,))}


def test_floors_without_a_model_are_no_result_yet(tmp_path: Path) -> None:
    folder = RunFolderMaker(floors=FLOORS).write(tmp_path / "run")
    for model in ("crystalformer", "cgcnn"):
        for final in final_folders(folder, model):
            (final / "run.json").unlink()
    build([folder], folder / "report")
    assert "No final runs yet" in (folder / "report" / "index.html").read_text(encoding="utf-8")


def test_the_terminal_shows_them_too(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    Console(width=120).print(results_table(run / "report" / "mae_table.csv"))
    shown = {line.split("│")[1].strip(): line for line in capsys.readouterr().out.splitlines() if "│" in line}
    assert {"crystalformer", "cgcnn", "mean (floor)", "forest (floor)"} <= set(shown)
    assert shown["mean (floor)"].split("│")[-2].strip() == "-"
