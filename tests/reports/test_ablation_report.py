"""The ablation report as its reader meets it: words, table, page and figure that say the same."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ablation_folders import write_ablation
from browser import screenshot
from final_folders import edit_json
from matplotlib.image import imread
from run_folders import RunFolderMaker

from crystalformer.training.config import TrainConfig
from reports.__main__ import main
from reports.ablation.effects import WEIGHTS
from reports.ablation.plot import errors_by_factor
from reports.ablation.study import studies
from reports.ablation.terms import TERMS
from reports.ablation.words import finding
from reports.build import build, build_ablation
from reports.load import load
from reports.theme import THEMES
from suite.records import write_table
from suite.registry import MODELS
from suite.space.search_space import load_space
from suite.turns import Turns

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert('1')</script> & $x_1$ | 100 %"


def error(point: Mapping[str, Any], seed: int) -> float:
    """One block is 0.012 worse, steadily; norm changes the order of the seeds only."""
    noise = (0.0001, 0.0, -0.0001)[seed]
    changed = 0.012 + noise if point["num_layers"] == 1 else 0.0
    return 0.05 + 0.002 * seed + changed + (10 * noise if point["norm"] == "pre" else 0.0)


def raw(point: Mapping[str, Any], seed: int) -> float:
    return error(point, seed) + 0.001 * seed


def some_failed(point: Mapping[str, Any], seed: int) -> str | None:
    if point["lattice_range"] == 1:
        return "failed" if seed else None
    return "complete"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished ablation with its final runs; one change has no complete run."""
    folder = tmp_path_factory.mktemp("runs") / "ablation"
    return write_ablation(folder, error, raw=raw, state=some_failed, finals=True)


@pytest.fixture(scope="module")
def report(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_ablation([run], tmp_path_factory.mktemp("out") / "report")


def test_the_command_builds_the_report_of_an_ablation(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run), "--ablation", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"report: {tmp_path / 'out' / 'index.html'}\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "index.html", "ablation.md", "ablation.csv", "figures",
    }  # fmt: skip
    assert main([str(run), "--ablation", "--out", str(tmp_path / "out")]) == 0  # an older report is replaced


def test_a_run_that_is_no_ablation_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = RunFolderMaker().write(tmp_path / "search", finals=False)
    ablation = write_ablation(tmp_path / "ablation", error)
    out = ["--ablation", "--out", str(tmp_path / "out")]
    assert main([str(search), *out]) == 2
    expected = f"--ablation: {search}: expected an ablation (search: {{sampler: ablate}}), got "
    captured = capsys.readouterr()
    assert captured.err.startswith(f"reports: {expected}no search block in its search.json; leave --ablation")
    assert captured.err.count("\n") == 1
    edit_json(search / "search.json", space={"search": {"sampler": "tpe"}})
    assert main([str(ablation), str(search), *out]) == 2
    assert f"{expected}sampler: tpe; leave" in capsys.readouterr().err
    edit_json(ablation / "search.json", space={"search": {"sampler": "ablate"}})
    assert main([str(ablation), *out]) == 2
    assert "search.json: space: expected the design, the seeds" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_words_say_what_moved_and_what_did_not(report: Path) -> None:
    text = (report / "ablation.md").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith(
        "## Crystalformer, log10\\_K\\_VRH: 1 of 5 changes moved the validation error: "
        "it is raised by depth 1 block (+23.1 %)."
    )
    moved, unmoved = text.split("**What is not shown to move it**")
    unmoved, untested = unmoved.split("**What could not be tested**")
    assert (
        "- Depth 1 block instead of 4 blocks raised the error by 0.01200 log10(GPa) "
        "(+23.1 %; 95 % interval +0.01117 to +0.01283; n = 3; Holm-corrected p < 0.001)."
    ).replace("<", "\\<") in moved
    # 15 runs; beside seeds and configurations, those of one block keep 1, 0, -1 times (1 - 2.2) / 10,000,
    # those of norm pre (10 - 2.2), the three others -2.2: 2 * 76.8 / 10,000^2 over 4 * 2 degrees of freedom.
    spread = (
        "(standard deviation 0.000438 log10(GPa), 0.000120 to 0.000780 for single configurations; 8 degrees"
    )
    assert spread in untested
    assert "- Depth 2 blocks instead of 4 blocks: 0 log10(GPa)" in re.sub(r"0\.0+\b", "0", unmoved)
    assert "- Normalisation pre (before attention and feed-forward) instead of none: " in unmoved
    assert "- Weights of the last step instead of their average: +0.00100 log10(GPa)" in unmoved
    box = "Lattice-sum range 1 (a box of ±1 cells) instead of radius"
    assert f"- {box}: no seed with a complete run of both sides." in untested
    assert "15 of 18 runs of the design are complete; 2 failed (loss is NaN), 1 not begun." in untested


def test_the_table_has_the_numbers_unrounded(report: Path) -> None:
    table = pd.read_csv(report / "ablation.csv", keep_default_na=False).set_index(["factor", "value"])
    one = table.loc[("num_layers", "1")]
    assert float(one["difference"]) == pytest.approx(0.012, abs=1e-15)
    assert float(one["baseline_val_mae"]) == pytest.approx(0.052)
    assert (one["unit"], one["reference"], one["n_seeds"], one["moved"]) == ("log10(GPa)", "4", 3, True)
    pairs = dict(pair.split(":") for pair in one["differences"].split())
    assert [float(pairs[seed]) for seed in "012"] == pytest.approx([0.0121, 0.012, 0.0119])
    missing = table.loc[("lattice_range", "1")]
    assert (missing["n_seeds"], missing["planned_seeds"], missing["difference"]) == (0, 3, "")
    assert table.loc[(WEIGHTS, "last step")]["reference"] == "average"


def test_the_whole_report_of_an_ablation_has_it_too_and_leaves_the_mae_table(
    run: Path, report: Path, tmp_path: Path
) -> None:
    whole = build([run], tmp_path / "whole")
    assert (whole / "ablation.csv").read_bytes() == (report / "ablation.csv").read_bytes()
    page = (whole / "index.html").read_text(encoding="utf-8")
    assert '<section id="ablation">' in page
    assert "raised the error by 0.01200 log10(GPa)" in page
    plain = shutil.copytree(run, tmp_path / "plain")
    edit_json(plain / "search.json", space={"search": {"sampler": "tpe"}})
    without = build([plain], tmp_path / "without")
    assert "ablation.md" not in {path.name for path in without.iterdir()}
    assert 'id="ablation"' not in (without / "index.html").read_text(encoding="utf-8")
    for name in ("mae_table.md", "mae_table.csv", "mae_table.tex"):
        assert (whole / name).read_bytes() == (without / name).read_bytes()


def test_the_same_run_gives_the_same_bytes(run: Path, report: Path, tmp_path: Path) -> None:
    again = build_ablation([run], tmp_path / "again")
    for path in report.rglob("*.*"):
        assert path.read_bytes() == (again / path.relative_to(report)).read_bytes(), path.name


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = write_ablation(tmp_path / "run", error, name=HOSTILE, targets={"x": HOSTILE}, seeds=(0, 1))
    search = json.loads((hostile / "search.json").read_text())
    search["models"]["crystalformer"]["label"] = HOSTILE
    edit_json(hostile / "search.json", models=search["models"])
    out = build_ablation([hostile], tmp_path / "out")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<script") == 1  # that of the tables
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert r"\<script\>alert('1')\</script\> &amp; $x\_1$ \| 100 %" in (out / "ablation.md").read_text()


def test_numbers_have_a_numeric_axis_and_keywords_have_not(run: Path) -> None:
    (study,) = studies(load([run]))
    figure = errors_by_factor(finding(study), THEMES[0])
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert list(panels) == ["depth", "lattice-sum range", "normalisation", "weights"]
    depth = panels["depth"]
    assert depth.get_xlabel() == "blocks"
    assert sorted(depth.get_xticks()) == [1, 2, 4]
    markers = [line for line in depth.lines if line.get_marker() in ("o", "D")]
    means = {line.get_xdata()[0]: line.get_ydata()[0] for line in markers}
    assert means == pytest.approx({4: 0.052, 1: 0.064, 2: 0.052})
    assert panels["depth"].get_ylabel() == "validation MAE (log10(GPa))"
    labels = [tick.get_text() for tick in panels["normalisation"].get_xticklabels()]
    assert labels == ["none", "pre"]


def test_a_missing_seed_does_not_move_a_marker(tmp_path: Path) -> None:
    """Seeds differ by 0.002: the mean of the two that norm pre has left is no effect of it."""

    def state(point: Mapping[str, Any], seed: int) -> str:
        return "failed" if point["norm"] == "pre" and seed == 2 else "complete"

    (study,) = studies(load([write_ablation(tmp_path / "run", error, state=state)]))
    figure = errors_by_factor(finding(study), THEMES[0])
    (panel,) = [axes for axes in figure.axes if axes.get_title() == "normalisation"]
    (marker,) = [line for line in panel.lines if line.get_marker() == "o"]
    assert marker.get_ydata()[0] == pytest.approx(0.052 + (0.001 + 0) / 2)
    seeds = [line for line in panel.lines if line.get_marker() == "."]
    assert [len(line.get_ydata()) for line in seeds] == [3, 2]


def test_the_bundled_ablation_has_words_for_all_its_factors(tmp_path: Path) -> None:
    """From the space of the quickstart, with the record and the trials that a search makes of it."""
    space = load_space(ROOT / "search_spaces" / "ablation_quickstart.yaml")
    turns = Turns(space)
    run = write_ablation(tmp_path / "run", error)
    common = {"target": "log10_K_VRH", "recipe": "common", "state": "complete", "epochs": 20, "seconds": 1.0}
    rows = []
    for number, turn in enumerate(turns.listed or ()):
        assert turn.params is not None
        values = {f"crystalformer/{name}": value for name, value in turn.params.items()}
        noise = 1e-6 * (number**3 % 31)
        error_of = {"val_mae": 0.05 + 0.001 * number + noise, "val_mae_raw": 0.06, "seed": turn.seed}
        named = {"trial_id": f"t{number}", "number": number, "model": turn.model.key}
        rows.append({**common, **named, **error_of, "parameters": 1, "ended": "trained", **values})
    write_table(run / "trials.parquet", rows)
    edit_json(run / "search.json", space=dict(space.content))
    (study,) = studies(load([run]))
    assert len(study.complete) == study.planned == turns.limit
    assert set(study.levels) <= set(TERMS)
    found = finding(study)
    assert [effect.mean for effect in found.effects[:-1]] == pytest.approx(
        [0.001 * step for step in range(1, turns.limit // 3)], abs=5e-5
    )


def test_terms_are_of_parameters_that_exist() -> None:
    known = {field.name for entry in MODELS.values() for field in fields(entry.config)}
    assert set(TERMS) - {WEIGHTS} <= known | {field.name for field in fields(TrainConfig)}


@pytest.mark.parametrize("width", [500, 1200])
def test_the_page_in_a_browser(report: Path, tmp_path: Path, width: int) -> None:
    """Chromium draws it, and the table does not widen the page."""
    shot = screenshot(report / "index.html", tmp_path / "shot.png", width)
    picture = imread(shot)
    assert picture.shape[1] == width
    assert picture[..., :3].std() > 0.05
