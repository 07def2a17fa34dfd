"""The figures of a comparison of all models: every one can be told apart, and nothing covers the curves."""

from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from run_folders import RunFolderMaker

from reports import error_plot, plots, published
from reports.build import build as build_report
from reports.load import Results, load
from reports.mae_table import MaeTable, Task, build
from reports.model_report.parity import parity
from reports.model_report.per_crystal import task_errors
from reports.recompute.tables import recompute
from reports.theme import THEMES, style

FLOORS = {"mean": 0.9, "forest": 0.07}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    errors = {key: 0.04 + 0.002 * i for i, key in enumerate(published.REGISTRY_KEYS)}
    maker = RunFolderMaker(errors=errors, floors=FLOORS, seeds=(0,), trials=24)
    return load([maker.write(tmp_path_factory.mktemp("twelve") / "run")])


@pytest.fixture(scope="module")
def table(results: Results) -> MaeTable:
    return build(results, published.load())


def drawn(figure: Figure) -> Figure:
    FigureCanvasAgg(figure).draw()
    return figure


@pytest.mark.parametrize("theme", THEMES, ids=["light", "dark"])
def test_every_curve_is_a_line_of_its_own(results: Results, table: MaeTable, theme) -> None:  # type: ignore[no-untyped-def]
    (task,) = table.tasks
    with style(theme):
        figure = drawn(plots.learning_curves(results, table, task, theme))
    (axes,) = figure.axes
    looks = {(line.get_color(), str(line.get_linestyle()), str(line._dash_pattern)) for line in axes.lines}
    assert len(looks) == len(axes.lines) == 14
    legend = axes.get_legend().get_window_extent()
    assert not legend.overlaps(axes.get_window_extent().padded(-2))
    assert {text.get_text() for text in axes.get_legend().get_texts()} >= {"ALIGNN", "Training mean (floor)"}


def test_a_far_floor_does_not_press_the_models_together(results: Results, table: MaeTable) -> None:
    (task,) = table.tasks
    with style(THEMES[0]):
        figure = drawn(error_plot.errors(results, table, task, THEMES[0]))
    (axes,) = figure.axes
    models = table.measured(task)["mae"]
    low, high = axes.get_xlim()
    assert low < models.min()
    assert high > table.floors(task).query("model == 'forest'")["mae"].max()
    assert (models.max() - models.min()) > 0.25 * (high - low)
    (arrow,) = [text for text in axes.texts if "→" in text.get_text()]
    mean = table.floors(task).query("model == 'mean'").set_index("split")["mae"]
    assert arrow.get_text() == f"validation {mean['val']:.3f}, test {mean['test']:.3f} →"


def test_the_words_have_every_model_and_floor(results: Results, table: MaeTable) -> None:
    (task,) = table.tasks
    for words in (error_plot.errors_alt(table, task), plots.curves_alt(results, table, task)):
        for name in (*table.measured(task)["candidate"], *table.floors(task)["candidate"]):
            assert name in words


def test_floors_are_in_no_parity_plot(results: Results, table: MaeTable) -> None:
    assert table.tasks == [Task("mp-elastic-2015", "log10_K_VRH")]
    figure = parity(task_errors(results, table, table.tasks[0]), THEMES[0])
    assert sum(axes.get_visible() for axes in figure.axes) == 12
    assert not any("floor" in axes.get_title() for axes in figure.axes)


def test_the_page_stays_small_with_the_best_model_in_full_and_the_others_folded(results: Results) -> None:
    (folder,) = results.folders.values()
    page = (build_report([folder.path], folder.path / "report") / "index.html").read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    assert page.count("elements and worst crystals") == 11
    assert page.count('<svg class="elements"') == 12


def test_every_cell_of_every_model_is_computed_again(results: Results, tmp_path: Path) -> None:
    (folder,) = results.folders.values()
    report = build_report([folder.path], tmp_path / "report")
    tables = {table.name: table for table in recompute([folder.path], report)}
    checks = [check for table in tables.values() for check in table.checks]
    assert [check.sentence for check in checks if not check.agrees] == []
    for model in published.REGISTRY_KEYS:
        mine = [check.what for check in checks if f" {model}," in check.what]
        assert len([what for what in mine if what.startswith("mae_table.csv")]) == 2 * 20
        assert len({what.partition(":")[0] for what in mine}) == 3
