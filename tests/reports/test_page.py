"""The page and its figures: complete, self-contained, escaped, honest about gaps, and built without torch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import screenshot
from matplotlib.image import imread
from reports_page import page_of
from run_folders import RunFolderMaker

from reports.build import build

ROOT = Path(__file__).resolve().parents[2]
PNG = b"\x89PNG\r\n\x1a\n"
FIGURES = {
    "errors-mp-elastic-2015-log10_K_VRH",
    "parity-mp-elastic-2015-log10_K_VRH",
    "groups-mp-elastic-2015-log10_K_VRH",
    "learning-curves-mp-elastic-2015-log10_K_VRH",
    "best-so-far-quickstart-log10_K_VRH",
    "search-history-quickstart-log10_K_VRH",
    "pareto-quickstart-log10_K_VRH",
}


def test_the_report_has_its_files(quickstart: Path) -> None:
    report = quickstart / "report"
    assert {path.name for path in report.iterdir()} == {
        "index.html", "mae_table.md", "mae_table.csv", "mae_table.tex", "figures",
        "errors_by_group.csv", "worst_crystals.csv",
    }  # fmt: skip
    drawn = list((report / "figures").iterdir())
    assert {path.name for path in drawn} == {
        f"{name}{suffix}.png" for name in FIGURES for suffix in ("", "-dark")
    }
    assert all(path.read_bytes().startswith(PNG) for path in drawn)


def test_the_page_answers_first_and_has_every_section(quickstart: Path) -> None:
    page = page_of(quickstart)
    sections = [attributes["id"] for attributes in page.every("section")]
    assert sections == [
        "answer",
        "errors",
        "published",
        "figures",
        "models",
        "search",
        "protocol",
        "failures",
        "provenance",
    ]
    assert page.text.index("Crystalformer predicts log10_K_VRH") < page.text.index("Val MAE")
    assert "not directly comparable" in page.text
    facts = [
        "published lr 0.01 is outside the searched range",
        "loss is NaN at epoch 2",
        "stopped by ASHA at epoch 3",
        "d1d1d1d1d1d1",
        "5a5a5a5a5a5a",
        "fractions 0.8/0.1/0.1, seed 123",
        "0123456789abcdef",
        "torch 2.13.0",
        "images within 6.5 Å (bound on what it leaves out 0.00025)",
        "images within 6.5 Å (without a bound)",
        f"tensorboard --logdir {quickstart}/tensorboard",
        f"optuna-dashboard sqlite:///{quickstart}/study.db",
    ]
    assert [fact for fact in facts if fact not in page.text] == []


def test_the_page_needs_nothing_from_outside(quickstart: Path) -> None:
    page = page_of(quickstart)
    assert page.every("script") == [{}]
    for tag, name in (("img", "src"), ("source", "srcset"), ("link", "href")):
        for attributes in page.every(tag):
            assert str(attributes[name]).startswith("data:")
    for attributes in page.every("a"):
        link = str(attributes["href"])
        assert link.startswith("#") or (quickstart / "report" / link).is_file()
    targets = {f"#{attributes['id']}" for _, attributes in page.elements if "id" in attributes}
    assert {str(a["href"]) for a in page.every("a") if str(a["href"]).startswith("#")} <= targets


def test_every_figure_has_numbers_in_words(quickstart: Path) -> None:
    texts = [str(attributes["alt"]) for attributes in page_of(quickstart).every("img")]
    assert len(texts) == len(FIGURES)
    for text in texts:
        assert "MAE" in text or "mean absolute error" in text
        assert re.search(r"[Cc]rystalformer", text)
        assert re.search(r"\d\.\d+", text)


def test_hostile_names_stay_text(hostile: Path, tmp_path: Path) -> None:
    build([hostile], tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert text.count("<script") == 1  # the page's own, which sorts tables
    assert "&lt;script&gt;" in text
    markdown = (tmp_path / "report" / "mae_table.md").read_text(encoding="utf-8")
    assert r"| \<script\>alert('1')\</script\> &amp; $x\_1$ \| 100 % |" in markdown
    latex = (tmp_path / "report" / "mae_table.tex").read_text(encoding="utf-8")
    assert (
        r"\textless{}script\textgreater{}alert('1')\textless{}/script\textgreater{} \& \$x\_1\$ | 100 \%"
        in latex
    )


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    run = RunFolderMaker(seeds=(0,), errors={"cgcnn": 0.1}, val=10, test=10).write(tmp_path / "run")
    first, second = (build([run], tmp_path / name) for name in ("first", "second"))
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name


def test_an_interrupted_search_is_reported_as_such(tmp_path: Path) -> None:
    run = RunFolderMaker(status="interrupted").write(tmp_path / "run", finals=False)
    report = build([run], run / "report")
    page = page_of(run)
    assert "No final runs yet (quickstart: interrupted)" in page.text
    assert "Lowest validation MAE in 8 trials" in page.text
    assert "CGCNN, log10_K_VRH 0 of 3 final runs" in page.text
    assert len((report / "mae_table.csv").read_text().splitlines()) == 1
    assert "No final runs yet" in (report / "mae_table.md").read_text()
    assert "No final runs yet" in (report / "mae_table.tex").read_text()


def test_a_search_without_any_trial_is_reported(tmp_path: Path) -> None:
    run = RunFolderMaker(status="interrupted").write(tmp_path / "run", finals=False)
    (run / "trials.parquet").unlink()
    build([run], run / "report")
    assert "No trial has a validation error yet" in page_of(run).text


def test_a_supported_difference_and_a_tie_are_told_apart(tmp_path: Path, quickstart: Path) -> None:
    tie = RunFolderMaker(errors={"crystalformer": 0.1, "cgcnn": 0.1}, test=6, val=6, seeds=(0,)).write(
        tmp_path / "tie"
    )
    build([tie], tie / "report")
    assert "does not support a difference" in page_of(tie).text
    assert "supports the difference" in page_of(quickstart).text


def test_neither_torch_nor_ray_nor_pymatgen_is_imported(quickstart: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from reports.__main__ import main; code = main(sys.argv[1:]); "
        "print(sorted({'torch', 'ray', 'pymatgen'} & set(sys.modules))); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, str(quickstart), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.parametrize("width", [500, 1200])
def test_the_page_in_a_browser(quickstart: Path, tmp_path: Path, width: int) -> None:
    """Chromium renders it: the picture of the page is not empty."""
    picture = imread(screenshot(quickstart / "report" / "index.html", tmp_path / "shot.png", width))
    assert picture.shape[1] == width
    assert picture[..., :3].std() > 0.05
