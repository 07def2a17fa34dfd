"""The section on the search: known answers of its parts, and a whole report of a made-up search."""

import json
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from final_folders import edit_json
from reports_page import Page, page_of
from run_folders import RunFolderMaker

from benchmarks.synthetic_search import SyntheticSearch
from reports import published
from reports.build import build
from reports.html import page
from reports.load import load
from reports.mae_table import build as build_table
from reports.run_folder import read_run_folder
from reports.search.curves import at_epoch, read_curve, read_curves, sampled
from reports.search.history import best_so_far, hours_spent
from reports.search.importance import FEWEST_TRIALS, importances
from reports.search.page import search_section
from reports.search.parallel import ABSENT, place
from reports.search.pareto import front
from reports.search.reasons import grouped, reasons_table
from reports.search.schedules import has_schedules, schedule_table
from reports.search.searched import Branch, branches, domain, restored, rungs
from reports.sections import Heading

MODELS = ("crystalformer", "cgcnn")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of 300 trials of two models with its report."""
    folder = tmp_path_factory.mktemp("runs") / "synthetic"
    made = SyntheticSearch(300, MODELS, crystals=20, seeds=(0,)).write(folder)
    build([made], made / "report")
    return made


@pytest.fixture(scope="module")
def found(run: Path) -> list[Branch]:
    return branches(read_run_folder(run), "log10_K_VRH")


def test_of_a_population_the_best_members_schedule_is_shown(found: list[Branch]) -> None:
    assert not has_schedules(found)
    stretches = [{"epoch": 0, "by": "t1", "lr": 0.001}, {"epoch": 4, "by": "t0", "lr": 0.0012}]
    trials = pd.DataFrame(
        {
            "trial_id": ["t0", "t1", "t2"],
            "state": ["complete", "complete", "failed"],
            "epochs": [8, 8, 3],
            "val_mae": [0.1, 0.2, np.nan],
            "schedule": [json.dumps(stretches), json.dumps(stretches[:1]), json.dumps(stretches[:1])],
        }
    )
    population = [
        Branch("toy", "Toy", "eV", {}, {}, trials),
        Branch("rival", "Rival", "eV", {}, {}, trials[2:]),
    ]
    assert has_schedules(population)
    assert schedule_table(population).rows == (
        ("Toy", "t0", "1", "t1", "lr 0.001"),
        ("", "", "5", "t0", "lr 0.0012"),
    )


def test_importances_are_those_of_the_surface_and_say_how_many_trials(run: Path, found: list[Branch]) -> None:
    folder = read_run_folder(run)
    curves = read_curves(run, folder.trials["trial_id"])
    for branch in found:
        judged = importances(branch, curves, rungs(folder))
        assert [each.epoch for each in judged] == [4, 12, 36, None]
        first = judged[0].shares
        assert set(first) == {"lr", "num_layers", "width", "r0", "frames", "frame_weight"}
        assert sum(first.values()) == pytest.approx(1)
        assert first["lr"] > first["num_layers"] > max(first["width"], first["r0"], first["frame_weight"])
        reached = [(branch.trials["epochs"] >= each.epoch).sum() for each in judged[:-1]]
        assert [each.n for each in judged] == [*reached, len(branch.complete)]
        assert all(bool(each.shares) == (each.n >= FEWEST_TRIALS) for each in judged)
        assert judged[-1].unsteady


def test_importances_are_those_of_a_study_that_has_the_trials(run: Path, found: list[Branch]) -> None:
    folder = read_run_folder(run)
    curves = read_curves(run, folder.trials["trial_id"])
    (first, *_) = importances(found[0], curves, rungs(folder))
    mine = dict(zip(found[0].trials["trial_id"], found[0].values(found[0].trials), strict=True))
    errors = at_epoch({key: curve for key, curve in curves.items() if key in mine}, 4)
    study = optuna.create_study()
    for trial_id, error in errors.items():
        params = mine[trial_id]
        kinds = {name: found[0].domains[name].distribution() for name in params}
        study.add_trial(optuna.trial.create_trial(value=error, params=params, distributions=kinds))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    assert first.shares == optuna.importance.get_param_importances(study, evaluator=evaluator)


def test_rungs_are_those_of_the_record(run: Path, tmp_path: Path) -> None:
    assert rungs(read_run_folder(run)) == [4, 12, 36]
    for scheduler, expected in (("hyperband", [4, 12, 36]), ("median", []), ("none", [])):
        made = SyntheticSearch(2, MODELS, crystals=4, seeds=(), scheduler=scheduler).write(
            tmp_path / scheduler
        )
        assert rungs(read_run_folder(made)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_nothing_beats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost, error = rng.integers(0, 6, (2, 40)).astype(float)  # with many ties
    cost[:3], error[3:6] = np.nan, np.inf
    usable = np.isfinite(cost) & np.isfinite(error)
    beaten = [
        any(
            cost[j] <= cost[i] and error[j] <= error[i] and (cost[j] < cost[i] or error[j] < error[i])
            for j in np.flatnonzero(usable)
        )
        for i in range(40)
    ]
    assert front(cost, error).tolist() == [
        bool(ok and not bad) for ok, bad in zip(usable, beaten, strict=True)
    ]


def test_reasons_that_differ_in_numbers_are_one() -> None:
    listed = [
        "loss is nan in epoch 3",
        "out of memory: tried to allocate 12.50 GiB",
        "ASHA: 0.0712 after epoch 4 is not among the best 1/3",
        "out of memory: tried to allocate 7 GiB",
        "ASHA: 1.3e-05 after epoch 12 is not among the best 1/3",
        "log10_K_VRH: no such target",
        "out of memory: tried to allocate 1,024 GiB",
    ]
    assert grouped(listed) == {
        "out of memory: tried to allocate … GiB": [1, 3, 6],
        "ASHA: … after epoch … is not among the best …/…": [2, 4],
        "log10_K_VRH: no such target": [5],
        "loss is nan in epoch 3": [0],
    }


def test_every_trial_that_ended_early_is_counted(run: Path) -> None:
    trials = read_run_folder(run).trials
    table = reasons_table(trials, {"crystalformer": "Crystalformer", "cgcnn": "CGCNN"})
    for state in ("failed", "stopped"):
        counted = sum(int(row[1].replace(",", "")) for row in table.rows if row[0] == state)
        assert counted == (trials["state"] == state).sum() > 0
    models = " ".join(row[3] for row in table.rows)
    assert sum(int(word) for word in models.replace(",", "").split() if word.isdigit()) == (
        trials["state"].isin(["failed", "stopped"]).sum()
    )


def branch_of(rows: list[tuple[str, str, float, float]], **columns: list) -> Branch:
    names = ["trial_id", "state", "val_mae", "seconds"]
    trials = pd.DataFrame(rows, columns=names).assign(number=range(len(rows)), **columns)
    return Branch("cgcnn", "CGCNN", None, {}, {}, trials)


def test_the_best_so_far_counts_the_time_of_all_trials_in_the_order_of_their_ends() -> None:
    rows = [
        ("a", "complete", 0.5, 3600.0),
        ("b", "failed", np.nan, 3600.0),
        ("c", "stopped", 0.1, 1800.0),  # the error of an early epoch: no best
        ("d", "complete", 0.6, 1800.0),
        ("e", "complete", 0.4, 3600.0),
    ]
    assert best_so_far(branch_of(rows)).to_dict("list") == {
        "hours": [1.0, 4.0], "val_mae": [0.5, 0.4], "trial_id": ["a", "e"],
    }  # fmt: skip
    assert hours_spent(branch_of(rows)) == 4.0
    ends = ["2025-01-01T05", "2025-01-01T02", "2025-01-01T03", "2025-01-01T04", "2025-01-01T01"]
    assert best_so_far(branch_of(rows, finished=ends))["trial_id"].tolist() == ["e"]
    assert best_so_far(branch_of(rows, finished=ends))["hours"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("stored", "plain", "value"),
    [
        (3.0, {"int": [1, 8]}, 3),
        ("0.5", {"float": [0, 1]}, 0.5),
        ("1", {"choices": [1, "adaptive"]}, 1),
        ("adaptive", {"choices": [1, "adaptive"]}, "adaptive"),
        (2.0, {"choices": [1, 2, 4]}, 2),
        ("True", {"choices": [True, False]}, True),
        (False, {"choices": [True, False]}, False),
        (None, {"choices": [None, 3]}, None),
        (float("nan"), {"int": [1, 8]}, None),
        ("gone", {"choices": ["here"]}, None),
    ],
)
def test_values_are_what_was_searched(stored: object, plain: dict, value: object) -> None:
    back = restored(stored, domain(plain))
    assert back == value
    assert type(back) is type(value)


def test_a_parameter_that_a_trial_has_not_is_no_value_of_it(found: list[Branch]) -> None:
    for branch in found:
        for values in branch.values(branch.trials):
            assert ("frame_weight" in values) == (values["frames"] != "none")


def test_places_on_an_axis() -> None:
    log = domain({"float": [1e-4, 1e-2], "log": True})
    assert [place(log, value) for value in (1e-4, 1e-3, 1e-2)] == pytest.approx([0, 0.5, 1])
    choices = domain({"choices": ["a", "b", "c"]})
    assert [place(choices, value) for value in "abc"] == [0, 0.5, 1]
    assert place(domain({"int": [2, 2]}), 2) == 0.5
    assert ABSENT < 0


def test_curves_end_at_a_row_that_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    path.write_text("epoch,val_mae,lr\n1,0.5,0.1\n2,0.25,0.1\n3,0.12")
    assert read_curve(path).tolist() == [0.5, 0.25]
    path.write_text("epoch,val_mae,lr\n1,0.5,0.1\n2,,0.1\n3,0.1,0.1\n")
    assert read_curve(path).tolist() == [0.5]
    path.write_text("epoch\n1\n")
    assert read_curve(path).size == 0
    assert read_curve(tmp_path / "absent.csv").size == 0
    curves = {"a": np.array([0.5, 0.25]), "b": np.array([0.5]), "c": np.array([0.5, np.nan])}
    assert at_epoch(curves, 2) == {"a": 0.25}


def test_a_sample_of_trials_has_the_best(found: list[Branch]) -> None:
    for branch in found:
        shown = sampled(branch, 30)
        assert len(shown) == len(set(shown["trial_id"])) == 30
        assert set(branch.complete.nsmallest(5, "val_mae")["trial_id"]) <= set(shown["trial_id"])
        assert sampled(branch, 1000) is branch.trials


def test_the_report_shows_it_all(run: Path) -> None:
    shown = page_of(run)
    figures = {path.name for path in (run / "report" / "figures").iterdir()}
    where = "synthetic-log10_K_VRH"
    for name in (
        f"best-so-far-{where}", f"search-history-{where}", f"trial-curves-{where}", f"importances-{where}",
        f"parallel-{where}-crystalformer", f"parallel-{where}-cgcnn", f"pareto-{where}",
    ):  # fmt: skip
        assert {f"{name}.png", f"{name}-dark.png"} <= figures
    alts = " ".join(str(attributes["alt"]) for attributes in shown.every("img"))
    assert "Lowest validation MAE so far (log10(GPa))" in alts
    assert "to epoch 12" in alts
    assert "Parallel coordinates of 150 trials of Crystalformer" in alts
    assert "trials on the front" in alts
    for text in ("out of memory: tried to allocate …", "What failed or was stopped, and why", "n = "):
        assert text in shown.text or text in alts


def section(made: Path, figures: Path) -> tuple[str, list[Path]]:
    """The section alone as HTML, and its figures."""
    figures.mkdir()
    results = load([made])
    table = build_table(results, published.load())
    text = page(["x"], [], [search_section(results, table, figures)])
    return Page(text).text, sorted(figures.iterdir())


@pytest.mark.parametrize("change", ["no curves", "no space", "all failed", "one trial", "none"])
def test_reports_of_less_than_that(tmp_path: Path, change: str) -> None:
    made = SyntheticSearch(1 if change == "one trial" else 24, MODELS, crystals=4, seeds=()).write(
        tmp_path / "run"
    )
    if change == "no curves":
        for path in made.glob("trials/*/curve.csv"):
            path.unlink()
    if change == "no space":
        record = json.loads((made / "search.json").read_text())
        record.pop("space")
        (made / "search.json").write_text(json.dumps(record))
    if change == "all failed":
        trials = pd.read_parquet(made / "trials.parquet")
        trials.assign(state="failed", val_mae=np.nan).to_parquet(made / "trials.parquet")
    edit_json(made / "search.json", status="interrupted")
    drawn = {path.name.split("-synthetic")[0] for path in section(made, tmp_path / "figures")[1]}
    expected = {
        "none": {"best-so-far", "search-history", "trial-curves", "parallel", "pareto"},
        "no curves": {"best-so-far", "search-history", "parallel", "pareto"},
        "no space": {"best-so-far", "search-history", "trial-curves", "pareto"},
        "all failed": set(),
        "one trial": {"best-so-far", "search-history", "trial-curves", "pareto"},
    }
    assert drawn == expected[change]


def test_two_searches_and_two_targets_each_have_their_own(tmp_path: Path) -> None:
    one = RunFolderMaker(name="one", targets={"K": None, "G": None}, errors={"cgcnn": 0.1}, seeds=())
    two = RunFolderMaker(name="two", targets={"K": None}, errors={"schnet": 0.1}, seeds=())
    runs = [maker.write(tmp_path / maker.name) for maker in (one, two)]
    results, figures = load(runs), tmp_path / "figures"
    figures.mkdir()
    made = search_section(results, build_table(results, published.load()), figures)
    headings = [block.text for block in made.blocks if isinstance(block, Heading)]
    assert [text for text in headings if text.startswith(("Search", "Trials"))] == [
        "Search one", "Trials for K, one", "Trials for G, one", "Search two", "Trials for K, two",
    ]  # fmt: skip
    drawn = {path.stem for path in figures.glob("search-history-*") if not path.stem.endswith("-dark")}
    assert drawn == {f"search-history-{name}" for name in ("one-K", "one-G", "two-K")}
