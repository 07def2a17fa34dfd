"""A figure is drawn once: its dark version is, pixel by pixel, what drawing it in the dark theme gives."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.synthetic_search import SyntheticSearch
from reports import error_plot, plots, published
from reports.both_themes import DARK, IN_DARK, LIGHT, CanvasOfBoth
from reports.load import Results, load
from reports.mae_table import build
from reports.model_report.parity import parity
from reports.model_report.per_crystal import task_errors
from reports.search import curves_plot, history, importance_plot, parallel, pareto
from reports.search.curves import read_curves
from reports.search.importance import importances
from reports.search.searched import branches, rungs
from reports.theme import Theme, style

Make = Callable[[Theme], Figure]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    search = SyntheticSearch(120, ("crystalformer", "alignn"), crystals=420, seeds=(0,))
    return load([search.write(tmp_path_factory.mktemp("drawn") / "run")])


@pytest.fixture(scope="module")
def plots_of_all_kinds(results: Results) -> dict[str, Make]:
    """Lines, dots, bars, bands, hexagons of a colour map, and words at every angle."""
    (folder,), table = results.folders.values(), build(results, published.load())
    (task,), found = table.tasks, branches(folder, "log10_K_VRH")
    curves, epochs = read_curves(folder.path, folder.trials["trial_id"]), rungs(folder)
    judged = {branch.model: importances(branch, curves, epochs) for branch in found}
    return {
        "history": partial(history.history, found),
        "progress": partial(history.progress, found),
        "curves": partial(curves_plot.curves_plot, found, curves, epochs),
        "parallel": partial(parallel.parallel, found[1]),
        "importance": partial(importance_plot.importance_plot, found, judged),
        "pareto": partial(pareto.pareto_plot, found),
        "errors": partial(error_plot.errors, results, table, task),
        "learning curves": partial(plots.learning_curves, results, table, task),
        "parity": partial(parity, task_errors(results, table, task)),
    }


KINDS = (
    "history", "progress", "curves", "parallel", "importance", "pareto", "errors", "learning curves",
    "parity",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_both_are_what_drawing_in_their_theme_gives(plots_of_all_kinds: dict[str, Make], kind: str) -> None:
    make = plots_of_all_kinds[kind]
    with style(LIGHT):
        shown = CanvasOfBoth(make(LIGHT)).pixels()
    for theme, pixels in zip((LIGHT, DARK), shown, strict=True):
        with style(theme):
            alone = FigureCanvasAgg(make(theme))
            alone.draw()
        assert np.array_equal(pixels, np.asarray(alone.buffer_rgba())), theme
    assert not np.array_equal(*shown)


def test_no_colour_of_the_light_theme_is_there_twice() -> None:
    pairs = list(LIGHT.beside(DARK))
    assert len(IN_DARK) == len(pairs) == 4 + len(published.REGISTRY_KEYS)
    assert len({dark for _, dark in pairs}) == len(pairs)
