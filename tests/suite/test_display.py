"""What the lines of a search say of the time that is left."""

import io
import re

import pytest
from rich.console import Console

from suite.display import PlainWatcher


class Stage:
    """A stage whose epochs take as many seconds as the test says; knows what its last line says is left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines = io.StringIO()
        self.watcher = PlainWatcher(Console(file=self.lines, width=200), "eV")
        self.now = 0.0
        monkeypatch.setattr("suite.display.time.monotonic", lambda: self.now)

    def epochs(self, run: str, epochs: range, seconds: float) -> None:
        for epoch in epochs:
            self.now += seconds
            self.watcher.epoch(run, epoch, 0.1, 50.0)

    @property
    def left(self) -> str | None:
        found = re.search(r"about (.*) left", self.lines.getvalue().splitlines()[-1])
        return found and found[1]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_nothing_is_said_before_an_epoch_was_timed(stage: Stage) -> None:
    stage.watcher.phase("Search", 3, 0)
    stage.watcher.started("a", "cgcnn", 12)
    stage.epochs("a", range(1, 2), 5.0)
    assert stage.left is None


def test_trials_to_come_are_expected_to_be_as_long_as_those_that_ended(stage: Stage) -> None:
    stage.watcher.phase("Search", 4, 0)
    stage.watcher.started("a", "cgcnn", 12)
    stage.epochs("a", range(1, 5), 2.0)
    assert stage.left == "88 s"  # 8 epochs of this trial, and three trials of 12
    stage.watcher.ended("a", "stopped", "ASHA", 0.1)
    stage.watcher.started("b", "cgcnn", 12)
    stage.epochs("b", range(1, 3), 2.0)
    assert stage.left == "36 s"  # 10 epochs of this trial, and two trials of 4


def test_a_floor_costs_final_runs_no_time(stage: Stage) -> None:
    stage.watcher.phase("Final runs", 10, 0, [("cgcnn", 12)] * 2 + [("forest", 0)] * 8)
    stage.watcher.started("a", "cgcnn", 12)
    stage.epochs("a", range(1, 3), 2.0)
    assert stage.left == "44 s"  # 10 epochs of this run, 12 of the other one
    stage.watcher.started("b", "cgcnn", 12)
    stage.epochs("b", range(1, 3), 2.0)
    assert stage.left == "20 s"  # 10 epochs of either, one beside the other
    stage.watcher.started("f", "forest", 0)
    stage.epochs("b", range(3, 4), 2.0)
    assert stage.left == "19 s"


def test_each_final_run_to_come_takes_what_its_model_takes(stage: Stage) -> None:
    stage.watcher.phase("Search", 2, 0)
    stage.watcher.started("a", "cgcnn", 2)
    stage.epochs("a", range(1, 3), 1.0)
    stage.watcher.ended("a", "complete", "trained", 0.1)
    stage.watcher.started("b", "alignn", 2)
    stage.epochs("b", range(1, 3), 9.0)
    stage.watcher.ended("b", "complete", "trained", 0.1)
    stage.watcher.phase("Final runs", 3, 0, [("cgcnn", 3), ("alignn", 3), ("alignn", 3)])
    stage.watcher.started("c", "cgcnn", 3)
    stage.epochs("c", range(1, 2), 1.0)
    assert stage.left == "56 s"  # 2 epochs of CGCNN, 6 of ALIGNN
