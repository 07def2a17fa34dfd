"""The MAE table against hand-computed values and the stored predictions; one frame behind every format."""

import csv
import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from final_folders import edit_json, final_folders, write_final
from model_labels import PARAMETERS
from run_folders import UNIT, RunFolderMaker

from reports import published
from reports.latex import latex_text
from reports.load import load
from reports.mae_table import MaeTable, build
from reports.render import csv_text, markdown_text, printed_tables

SPECIFIED = (
    "model,dataset,target,unit,split,mae,sd,n_seeds,run_ids,params,"
    "train_s_per_epoch,predict_ms_per_crystal,kind,source,mae_low,mae_high,rmse,r2,mad,mae_deduplicated,"
    "crystals,absent,peak_memory_mb,trials,epochs,search_hours,p_holm,experiment"
)


def table_of(*runs: Path) -> MaeTable:
    return build(load(list(runs)), published.load())


def texts_of(*runs: Path) -> tuple[str, str, str]:
    results = load(list(runs))
    table = build(results, published.load())
    printed = printed_tables(table, results)
    return markdown_text(printed, "nothing"), latex_text(printed, "nothing"), csv_text(table)


def test_mean_and_sd_over_seeds_are_the_hand_computed_ones(tmp_path: Path) -> None:
    """Constant errors of 1/8, 1/4 and 3/4: mean 3/8; sample variance (1/16 + 1/64 + 9/64) / 2 = 7/64."""
    maker = RunFolderMaker(errors={"crystalformer": 0.07}, val=3, test=5)
    run = maker.write(tmp_path / "run")
    for seed, error in enumerate((0.125, 0.25, 0.75)):
        folder = next(iter(final_folders(run, f"crystalformer-*-s{seed}")))
        record = json.loads((folder / "run.json").read_text())
        ids = [f"mp-{i}" for i in range(8)]
        signs = np.array([1, -1, 1, -1, 1, 1, -1, 1])
        truth = np.arange(8.0)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        predictions = pd.DataFrame(
            {"id": ids, "split": ["val"] * 3 + ["test"] * 5, "y_true": truth, "y_pred": truth + error * signs}
        )
        write_final(folder, predictions, record, epochs=2)
    rows = table_of(run).frame.query("kind == 'measured'")
    assert list(rows["split"]) == ["val", "test"]
    assert list(rows["mae"]) == [0.375, 0.375]
    assert list(rows["sd"]) == pytest.approx([math.sqrt(7) / 8] * 2, rel=1e-15)
    assert list(rows["n_seeds"]) == [3, 3]
    assert list(rows["train_s_per_epoch"]) == pytest.approx([2.6, 2.6])
    assert list(rows["predict_ms_per_crystal"]) == pytest.approx([0.81, 0.81])


def test_every_measured_cell_of_the_csv_can_be_recomputed_from_predictions(quickstart: Path) -> None:
    rows = list(csv.DictReader((quickstart / "report" / "mae_table.csv").open(encoding="utf-8")))
    measured = [row for row in rows if row["kind"] == "measured"]
    assert {(row["model"], row["split"]) for row in measured} == {
        (model, split) for model in ("crystalformer", "cgcnn") for split in ("val", "test")
    }
    for row in measured:
        errors = []
        for run_id in row["run_ids"].split(" "):
            predictions = pd.read_parquet(quickstart / "final" / run_id / "predictions.parquet")
            mine = predictions[predictions["split"] == row["split"]]
            errors.append(
                sum(abs(a - b) for a, b in zip(mine["y_true"], mine["y_pred"], strict=True)) / len(mine)
            )
        mean = sum(errors) / 3
        assert float(row["mae"]) == pytest.approx(mean, rel=1e-12)
        variance = sum((error - mean) ** 2 for error in errors) / 2
        assert float(row["sd"]) == pytest.approx(math.sqrt(variance), rel=1e-9)
        assert (row["n_seeds"], row["unit"], row["source"]) == ("3", UNIT, "")
        assert row["params"] == str(PARAMETERS[row["model"]])


def test_csv_has_the_specified_columns_and_full_precision(quickstart: Path) -> None:
    text = (quickstart / "report" / "mae_table.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == SPECIFIED
    frame = table_of(quickstart).frame
    read = pd.read_csv(io.StringIO(text))
    assert read["mae"].tolist() == frame["mae"].tolist()
    assert set(read["kind"]) == {"measured", "published"}


def test_one_seed_has_no_standard_deviation(tmp_path: Path) -> None:
    run = RunFolderMaker(seeds=(4,)).write(tmp_path / "run")
    markdown, _, table = texts_of(run)
    measured = [row for row in csv.DictReader(io.StringIO(table)) if row["kind"] == "measured"]
    assert {(row["sd"], row["n_seeds"]) for row in measured} == {("", "1")}
    assert " ± " not in "".join(line for line in markdown.splitlines() if line.startswith("| Crystal"))


def test_published_rows_are_of_measured_models_and_quantities_only(quickstart: Path) -> None:
    rows = table_of(quickstart).published
    assert set(rows["model"]) == {"crystalformer", "cgcnn"}
    assert set(rows["target"]) == {"log10_K_VRH"}
    assert set(rows["split"]) == {"test"}
    assert "mp-elastic-2015" not in set(rows["dataset"])
    paper = rows[(rows["model"] == "crystalformer") & (rows["variant"] == "")]
    assert paper[["dataset", "mae", "params"]].to_numpy().tolist() == [["mp-2018.6.1", 0.0377, 853505]]


def test_markdown_latex_and_page_print_the_same_numbers(quickstart: Path) -> None:
    report = quickstart / "report"
    markdown, latex = (report / "mae_table.md").read_text(), (report / "mae_table.tex").read_text()
    page = (report / "index.html").read_text(encoding="utf-8")
    frame = table_of(quickstart).frame
    cells = re.findall(r'<td class="n">(?:<b>)?([\d.]+)(?:</b>)?<span class="sd"> ± ([\d.]+)</span>', page)
    assert len(cells) == 4  # two models, val and test
    for (value, sd), row in zip(cells, frame.itertuples(), strict=False):
        assert float(value) == pytest.approx(row.mae, abs=0.5 * 10 ** -len(value.split(".")[1]))
        assert float(sd) == pytest.approx(row.sd, abs=0.5 * 10 ** -len(sd.split(".")[1]))
        assert re.search(rf"\*{{0,2}}{re.escape(value)}\*{{0,2}} ± {re.escape(sd)} ", markdown)
        assert re.search(rf"{re.escape(value)}}}? \\pm {re.escape(sd)}\$", latex)
    for row in frame[frame["kind"] == "published"].itertuples():
        for text in (markdown, latex, page):
            assert f"{row.mae:g}" in text


def test_units_and_thousands_stand_in_every_printed_table(quickstart: Path) -> None:
    markdown, latex, _ = texts_of(quickstart)
    assert f"Test MAE ({UNIT})" in markdown
    assert f"({UNIT})" in latex
    assert "853,505" in markdown
    assert "853,505" in latex


def test_target_without_unit_is_said_to_have_none(tmp_path: Path) -> None:
    run = RunFolderMaker(targets={"hardness": None}, dataset="mine").write(tmp_path / "run")
    markdown, _, table = texts_of(run)
    assert "| Test MAE |" in re.sub(" +", " ", markdown)
    assert {row["unit"] for row in csv.DictReader(io.StringIO(table))} == {""}
    assert "The data set states no unit for hardness" in markdown


def test_mad_to_mae_ratio_is_that_of_the_test_targets(quickstart: Path) -> None:
    table = table_of(quickstart)
    row = table.frame.query("model == 'cgcnn' and split == 'test' and kind == 'measured'").iloc[0]
    truth = RunFolderMaker().truth("log10_K_VRH").query("split == 'test'")["y_true"]
    deviation = (truth - truth.mean()).abs().mean()
    assert row["mad"] == pytest.approx(deviation, rel=1e-12)
    (printed, _) = printed_tables(table, load([quickstart]))
    assert float(printed.rows[1].cells[-1].text) == pytest.approx(deviation / row["mae"], abs=0.05)
    (note,) = [note for note in printed.notes if note.startswith("MAD:MAE")]
    assert f"of the test split ({deviation:.3f} {UNIT})" in note


def test_several_targets_give_a_table_each(tmp_path: Path) -> None:
    targets: dict[str, str | None] = {"log10_K_VRH": UNIT, "log10_G_VRH": UNIT}
    run = RunFolderMaker(targets=targets, seeds=(0, 1)).write(tmp_path / "run")
    table = table_of(run)
    assert [task.target for task in table.tasks] == list(targets)
    assert len(table.frame.query("kind == 'measured'")) == 8
    assert set(table.published["target"]) == set(targets)


def test_several_runs_give_rows_of_all_and_say_whose_where_they_share_a_model(tmp_path: Path) -> None:
    first = RunFolderMaker(name="first", floors={"mean": 0.9, "forest": 0.5}).write(tmp_path / "first")
    errors, floors = {"cgcnn": 0.08, "schnet": 0.1}, {"mean": 0.9, "forest": 0.4}
    second = RunFolderMaker(name="second", errors=errors, floors=floors).write(tmp_path / "second")
    frame = table_of(first, second).frame
    rows = frame.query("kind == 'measured' and split == 'test'")
    assert set(rows["candidate"]) == {"Crystalformer", "CGCNN (first)", "CGCNN (second)", "SchNet"}
    assert list(rows["mae"]) == sorted(rows["mae"])
    floors_of_both = frame.query("kind == 'floor' and split == 'test'")["candidate"]
    assert sorted(floors_of_both) == [
        "Random forest (floor) (first)", "Random forest (floor) (second)", "Training mean (floor)",
    ]  # fmt: skip


def test_only_the_configuration_that_validation_chose_is_in_the_table(tmp_path: Path) -> None:
    run = RunFolderMaker(ranks=2).write(tmp_path / "run")
    results = load([run])
    chosen = " ".join(build(results, published.load()).frame["run_ids"].dropna())
    assert chosen.count("-0001") == 3 * 2 * 2
    assert "-0002" not in chosen
    assert set(results.runs["rank"]) == {1, 2}


def test_missing_seed_is_counted_and_named(tmp_path: Path) -> None:
    run = RunFolderMaker().write(tmp_path / "run")
    lost, cut = list(final_folders(run, "cgcnn"))[1:]
    edit_json(lost / "run.json", status="failed")
    (cut / "run.json").unlink()
    markdown, latex, table = texts_of(run)
    assert "1 of 3" in markdown
    assert "CGCNN has 1 of 3 final runs (no complete run of seed 1, 2)" in markdown
    assert "1 of 3" in latex
    counts = {row["model"]: row["n_seeds"] for row in csv.DictReader(io.StringIO(table)) if row["n_seeds"]}
    assert counts == {"crystalformer": "3", "cgcnn": "1"}
    reasons = {gone.run_id: gone.reason for gone in load([run]).folders["quickstart"].unfinished}
    assert reasons[lost.name] == "status 'failed'"
    assert "no run.json" in reasons[cut.name]


def test_model_without_any_final_run_is_named(tmp_path: Path) -> None:
    run = RunFolderMaker().write(tmp_path / "run")
    for folder in final_folders(run, "cgcnn"):
        (folder / "run.json").unlink()
    markdown, _, _ = texts_of(run)
    assert "CGCNN has 0 of 3 final runs (no complete run of seed 0, 1, 2)" in markdown


def test_clear_difference_is_bold_and_a_tie_is_not(tmp_path: Path) -> None:
    clear = RunFolderMaker(errors={"crystalformer": 0.05, "cgcnn": 0.2}).write(tmp_path / "clear")
    tie = RunFolderMaker(errors={"crystalformer": 0.1, "cgcnn": 0.1}, test=6, val=6).write(tmp_path / "tie")
    alone = RunFolderMaker(errors={"cgcnn": 0.1}).write(tmp_path / "alone")
    bold = table_of(clear).frame.query("bold")
    assert bold["model"].tolist() == ["crystalformer", "crystalformer"]
    assert "**0." in texts_of(clear)[0]
    assert r"\mathbf{0." in texts_of(clear)[1]
    for run in (tie, alone):
        assert not table_of(run).frame["bold"].any()
        assert "**" not in texts_of(run)[0]


def test_missing_predictions_are_counted_and_forbid_the_test(tmp_path: Path) -> None:
    run = RunFolderMaker().write(tmp_path / "run")
    folder = next(iter(final_folders(run, "cgcnn")))
    record = json.loads((folder / "run.json").read_text())
    predictions = pd.read_parquet(folder / "predictions.parquet").iloc[:-1]
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    write_final(folder, predictions, record, epochs=2)
    assert any("predictions for 49 of the 50 test crystals" in note for note in load([run]).notes)


def test_latex_is_escaped_and_balanced(tmp_path: Path) -> None:
    run = RunFolderMaker(targets={r"a_b%c&d#e$f^g~h\i{j}": "cm^-1"}, dataset="odd_name").write(
        tmp_path / "run"
    )
    _, latex, _ = texts_of(run)
    caption = next(line for line in latex.splitlines() if line.startswith(r"\caption"))
    escaped = r"a\_b\%c\&d\#e\$f\textasciicircum{}g\textasciitilde{}h\textbackslash{}i\{j\} on odd\_name"
    assert caption == rf"\caption{{{escaped}.}}"
    assert r"(cm\textasciicircum{}-1)" in latex
    body = latex.replace(r"\{", "").replace(r"\}", "")
    assert body.count("{") == body.count("}")
    for name in ("table", "tabular"):
        assert latex.count(rf"\begin{{{name}}}") == latex.count(rf"\end{{{name}}}")
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", latex)
    assert columns is not None
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns.group(1)) - 1}


def test_unequal_budgets_are_said(tmp_path: Path) -> None:
    """The heavy model was trained for fewer epochs; whoever reads its error has to know."""
    runs = [
        RunFolderMaker(errors={model: 0.1}, name=model, epochs=epochs, trials=4).write(tmp_path / model)
        for model, epochs in (("cgcnn", 6), ("alignn", 2))
    ]
    text, _, csv_ = texts_of(*runs)
    assert "Budgets differ." in text
    assert "CGCNN 4 × 6, ALIGNN 4 × 2" in text
    rows = list(csv.DictReader(io.StringIO(csv_)))
    assert {(row["model"], row["trials"], row["epochs"]) for row in rows if row["kind"] == "measured"} == {
        ("cgcnn", "4", "6"), ("alignn", "4", "2"),
    }  # fmt: skip
    alone = texts_of(runs[0])[0]
    assert "Budgets differ" not in alone
