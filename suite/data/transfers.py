"""How a download looks: a bar on a terminal, a line now and then anywhere else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from crystalformer.sources.published.download import TransferWatcher

EVERY_S = 10.0


class _Bars:
    """A bar for the file that is on its way; between files the screen belongs to others."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def begins(self, name: str, done: int, total: int | None) -> None:
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=total)
            self._progress.start()
        self._progress.update(self._bars[name], completed=done, total=total)

    def advanced(self, name: str, done: int) -> None:
        self._progress.update(self._bars[name], completed=done)

    def ended(self, name: str) -> None:
        if name in self._bars:
            self._progress.stop()
            self._progress.remove_task(self._bars.pop(name))

    def message(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


class _Lines:
    """A line when a file begins, every few seconds, and when it is here."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total: int | None = None
        self._done = 0
        self._said = 0.0

    def begins(self, name: str, done: int, total: int | None) -> None:
        self._total, self._done, self._said = total, done, time.monotonic()
        resumed = f", {_megabytes(done)} are here" if done else ""
        size = f" ({_megabytes(total)})" if total is not None else ""
        self.message(f"downloading {name}{size}{resumed}")

    def advanced(self, name: str, done: int) -> None:
        self._done = done
        if time.monotonic() - self._said > EVERY_S:
            self._said = time.monotonic()
            whole = f" of {_megabytes(self._total)}" if self._total is not None else ""
            self.message(f"{name}: {_megabytes(done)}{whole}")

    def ended(self, name: str) -> None:
        pass

    def message(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


@contextmanager
def watching_transfers(console: Console) -> Iterator[TransferWatcher]:
    """The watcher that suits where the output goes, shown while the context lasts."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=console)
    try:
        yield _Bars(progress)
    finally:
        progress.stop()
