"""How a search looks while it runs: a live table on a terminal, plain lines anywhere else."""

import csv
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from suite.progress import Watcher

_STYLES = {"complete": "green", "stopped": "yellow", "failed": "red"}


@dataclass
class _Run:
    run_id: str
    model: str
    epochs: int
    epoch: int = 0
    val_mae: float | None = None
    crystals_per_s: float | None = None
    seen: float = 0.0  # time.monotonic() of the latest epoch


@dataclass
class Board:
    """What is known of a stage: the state behind both displays."""

    unit: str
    title: str = ""
    total: int = 0
    done: int = 0
    coming: Counter[tuple[str, int]] = field(default_factory=Counter)  # model, epochs; empty: not known
    running: dict[str, _Run] = field(default_factory=dict)
    best: dict[str, tuple[float, str]] = field(default_factory=dict)  # model -> error, run
    epoch_seconds: dict[str, float] = field(default_factory=dict)  # model -> of its latest epoch
    epochs_run: int = 0  # by the runs that ended in this session
    runs_ended: int = 0

    def begin(self, title: str, total: int, done: int, coming: Sequence[tuple[str, int]]) -> None:
        """See `Watcher.phase`."""
        self.title, self.total, self.done, self.coming = title, total, done, Counter(coming)
        self.running, self.best = {}, {}
        self.epochs_run = self.runs_ended = 0

    def start(self, run_id: str, model: str, epochs: int) -> None:
        """A run begins or is continued."""
        self.running[run_id] = _Run(run_id, model, epochs)
        self.coming -= Counter([(model, epochs)])

    def advance(self, run_id: str, epoch: int, val_mae: float, crystals_per_s: float) -> _Run:
        """A run finished an epoch."""
        run, now = self.running[run_id], time.monotonic()
        if run.epoch and epoch > run.epoch:
            self.epoch_seconds[run.model] = (now - run.seen) / (epoch - run.epoch)
        run.epoch, run.val_mae, run.crystals_per_s, run.seen = epoch, val_mae, crystals_per_s, now
        return run

    def end(self, run_id: str, state: str, val_mae: float | None) -> _Run:
        """A run ended; what was known of it."""
        run = self.running.pop(run_id)
        self.done += 1
        self.runs_ended += 1
        self.epochs_run += run.epoch
        if val_mae is not None and state == "complete":
            self.best[run.model] = min(self.best.get(run.model, (float("inf"), "")), (val_mae, run_id))
        return run

    def seconds_left(self) -> float | None:
        """Estimate: an epoch takes what the model's last one took; a run that is not known beforehand has as
        many as those that ended.

        None until an epoch of every model that is trained has been timed.
        """
        trained = [run for run in self.running.values() if run.epochs]
        if not trained or any(run.model not in self.epoch_seconds for run in trained):
            return None
        mean = sum(self.epoch_seconds.values()) / len(self.epoch_seconds)
        begun = sum((run.epochs - run.epoch) * self.epoch_seconds[run.model] for run in trained)
        if self.coming:
            waiting = sum(
                runs * epochs * self.epoch_seconds.get(model, mean)
                for (model, epochs), runs in self.coming.items()
            )
        else:
            longest = max(run.epochs for run in trained)
            epochs = self.epochs_run / self.runs_ended if self.runs_ended else longest
            waiting = max(self.total - self.done - len(self.running), 0) * epochs * mean
        return (begun + waiting) / len(trained)


class PlainWatcher:
    """One line per event, for logs."""

    def __init__(self, console: Console, unit: str) -> None:
        self._console = console
        self.board = Board(unit)

    def phase(self, title: str, runs: int, done: int, coming: Sequence[tuple[str, int]] = ()) -> None:
        """See `Watcher`."""
        self.board.begin(title, runs, done, coming)
        self._say(f"{title}: {runs} runs" + (f", {done} finished before" if done else ""))

    def started(self, run_id: str, model: str, epochs: int) -> None:
        """See `Watcher`."""
        self.board.start(run_id, model, epochs)
        self._say(f"{run_id} {model}: started")

    def epoch(self, run_id: str, epoch: int, val_mae: float, crystals_per_s: float) -> None:
        """See `Watcher`."""
        run = self.board.advance(run_id, epoch, val_mae, crystals_per_s)
        left = self.board.seconds_left()
        self._say(
            f"{run_id} {run.model}: epoch {epoch}/{run.epochs}, val MAE {self._error(val_mae)}, "
            f"{crystals_per_s:.0f} crystals/s"
            + (f", about {duration(left)} left" if left is not None else "")
        )

    def ended(self, run_id: str, state: str, ended: str, val_mae: float | None) -> None:
        """See `Watcher`."""
        run = self.board.end(run_id, state, val_mae)
        value = f", val MAE {self._error(val_mae)}" if val_mae is not None else ""
        self._say(
            f"{run_id} {run.model}: {state}{value} ({ended}); {self.board.done} of {self.board.total} done"
        )

    def message(self, text: str) -> None:
        """See `Watcher`."""
        self._say(text)

    def _error(self, value: float) -> str:
        return f"{value:.4g} {self.board.unit}".rstrip()

    def _say(self, text: str) -> None:
        self._console.print(
            f"[{time.strftime('%H:%M:%S')}] {text}", markup=False, highlight=False, soft_wrap=True
        )


class LiveWatcher:
    """A table that redraws itself: what runs, its epoch and speed, the best of each model, the time left."""

    def __init__(self, console: Console, unit: str) -> None:
        self._console = console
        self.board = Board(unit)

    def phase(self, title: str, runs: int, done: int, coming: Sequence[tuple[str, int]] = ()) -> None:
        """See `Watcher`."""
        self.board.begin(title, runs, done, coming)

    def started(self, run_id: str, model: str, epochs: int) -> None:
        """See `Watcher`."""
        self.board.start(run_id, model, epochs)

    def epoch(self, run_id: str, epoch: int, val_mae: float, crystals_per_s: float) -> None:
        """See `Watcher`."""
        self.board.advance(run_id, epoch, val_mae, crystals_per_s)

    def ended(self, run_id: str, state: str, ended: str, val_mae: float | None) -> None:
        """See `Watcher`."""
        run = self.board.end(run_id, state, val_mae)
        line = Text(f"{run_id} {run.model} ")
        line.append(state, style=_STYLES[state])
        if val_mae is not None:
            line.append(f"  {val_mae:.4g} {self.board.unit}")
        line.append(f"  {ended}", style="dim")
        self._console.print(line)

    def message(self, text: str) -> None:
        """See `Watcher`."""
        self._console.print(text, markup=False, highlight=False)

    def __rich__(self) -> RenderableType:
        board = self.board
        if not board.title:
            return Text("starting Ray …", style="dim")
        left = board.seconds_left()
        bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:g} of {task.total:g}"),
            TextColumn(f"about {duration(left)} left" if left is not None else "time left: not known yet"),
        )
        bar.add_task(board.title, total=board.total, completed=board.done)
        best = Text("best so far: ")
        best.append(
            ", ".join(f"{model} {value:.4g} {board.unit}" for model, (value, _) in sorted(board.best.items()))
            or "no finished run yet"
        )
        return Group(bar, self._table(), best)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("run", overflow="ellipsis", no_wrap=True)
        table.add_column(
            "model", no_wrap=True, min_width=max([5, *(len(r.model) for r in self.board.running.values())])
        )
        for name in ("epoch", f"val MAE ({self.board.unit})" if self.board.unit else "val MAE", "crystals/s"):
            table.add_column(name, justify="right")
        for run in list(self.board.running.values()):
            table.add_row(
                run.run_id,
                run.model,
                f"{run.epoch}/{run.epochs}",
                "-" if run.val_mae is None else f"{run.val_mae:.4g}",
                "-" if run.crystals_per_s is None else f"{run.crystals_per_s:.0f}",
            )
        return table


@contextmanager
def watching(console: Console, unit: str) -> Iterator[Watcher]:
    """The watcher that suits where the output goes, shown while the context lasts."""
    if not console.is_terminal:
        yield PlainWatcher(console, unit)
        return
    watcher = LiveWatcher(console, unit)
    with Live(watcher, console=console, refresh_per_second=2, transient=True):
        yield watcher


def results_table(path: Path) -> Group:
    """The models and floors of a report's `mae_table.csv`: a table per data set and target."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] in ("measured", "floor")]
    titles = dict.fromkeys((row["dataset"], row["target"], row["unit"]) for row in rows)
    return Group(*(_target_table(*title, rows) for title in titles))


def _target_table(dataset: str, target: str, unit: str, rows: list[dict[str, str]]) -> Table:
    title = f"Mean absolute error of {target}" + (f" in {unit}" if unit else "") + f", {dataset}"
    table = Table(title=title, title_justify="left")
    table.add_column("model", no_wrap=True)
    for name in ("validation", "test", "seeds", "parameters"):
        table.add_column(name, justify="right", no_wrap=True)
    errors: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        if (row["dataset"], row["target"]) == (dataset, target):
            errors.setdefault(row["model"], {})[row["split"]] = row
    for model, by_split in errors.items():
        val, test = (_with_spread(by_split.get(split)) for split in ("val", "test"))
        any_row = next(iter(by_split.values()))
        parameters = f"{int(any_row['params']):,}" if any_row["params"] else "-"
        name = f"{model} (floor)" if any_row["kind"] == "floor" else model
        table.add_row(name, val, test, any_row["n_seeds"], parameters)
    return table


def _with_spread(row: dict[str, str] | None) -> str:
    if row is None:
        return "-"
    return f"{float(row['mae']):.4f}" + (f" ± {float(row['sd']):.4f}" if row["sd"] else "")


def duration(seconds: float) -> str:
    """A duration for people: 42 s, 7 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
