"""One experiment's folder: what it is, what state it is in, and that only one process writes it.

    runs/<name>/space.yaml search.json trials.parquet study.db tensorboard/ trials/ final/ report/

Everything that a later session or the report needs is here. `search.json` is written as things change, the
trial table from the study, which is the record of the trials.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from suite.ledger import TrialLedger, open_storage
from suite.prepare import PreparedData
from suite.provenance import package_version, provenance
from suite.records import read_json, write_json, write_table, write_text
from suite.space.search_space import SearchSpace

_TABLE_EVERY_S = 2.0


class ExperimentError(ValueError):
    """The folder belongs to another search, is damaged, or cannot be written."""


class ExperimentBusy(RuntimeError):
    """Another process is writing the experiment."""


class Experiment:
    """The folder of one experiment, opened for writing; as a context it says in the end how it ended.

    Attributes:
        folder: `runs/<name>`, absolute.
        record: the content of `search.json`.
        ledgers: the trials of each target.
    """

    def __init__(
        self, folder: Path, space: SearchSpace, data: PreparedData, record: dict, lock: FileLock
    ) -> None:
        self.folder = folder
        self.space = space
        self.data = data
        self.record = record
        self._lock = lock
        self._total = Stopwatch(record["seconds"], running=True)
        self._searching = Stopwatch(record["search_seconds"])
        self._table_written = 0.0
        self._storage = open_storage(folder / "study.db")
        self.ledgers = {target: self._ledger(target) for target in space.data.targets}

    @classmethod
    def open(cls, runs: Path, space: SearchSpace, data: PreparedData, command: str, fresh: bool) -> Self:
        """Begin the experiment or go on with it.

        Args:
            runs: folder of all experiments.
            space: the checked search space.
            data: its data.
            command: the command line, for the record.
            fresh: put an earlier experiment of this name aside, as `<name>.<time>`, and begin anew.

        Raises:
            ExperimentError: the folder holds another search, is damaged, or cannot be written.
            ExperimentBusy: another process is writing it.
        """
        folder = runs.resolve() / space.name
        lock = FileLock(runs.resolve() / f".{space.name}.lock")
        try:
            runs.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise ExperimentBusy(
                f"{folder}: another search is writing this experiment; wait for it or choose --name"
            ) from None
        except OSError as error:
            raise ExperimentError(f"--runs {runs}: expected a folder to write to, got {error}") from error
        try:
            if fresh and folder.exists():
                os.replace(folder, folder.with_name(f"{space.name}.{datetime.now():%Y%m%d-%H%M%S}"))
            record = earlier_record(folder, space, data) | facts(space, data, command)
            folder.mkdir(parents=True, exist_ok=True)
            experiment = cls(folder, space, data, record, lock)
            write_text(folder / "space.yaml", space.text)
            experiment.update(status="running", finished=None)
            return experiment
        except (OSError, ValueError) as error:
            lock.release()
            if isinstance(error, ExperimentError):
                raise
            raise ExperimentError(f"{error}; --fresh puts the experiment aside and begins anew") from error
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.update(status="interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")
        self._lock.release()

    def update(self, **changes: Any) -> None:
        """Change entries of `search.json`."""
        times = {"seconds": self._total.seconds, "search_seconds": self._searching.seconds}
        self.record |= times | changes
        write_json(self.folder / "search.json", self.record)

    @contextmanager
    def searching(self) -> Iterator[None]:
        """The time spent in this context counts for the budget in hours; the table is right at its end."""
        self._searching.start()
        try:
            yield
        finally:
            self._searching.stop()
            self.write_trials(now=True)

    def rows(self) -> list[dict]:
        """All trials of all targets."""
        return [row for target, ledger in self.ledgers.items() for row in ledger.rows(target)]

    def write_trials(self, now: bool = False) -> None:
        """Write `trials.parquet` from the study, at most every few seconds unless `now`."""
        if now or time.monotonic() - self._table_written > _TABLE_EVERY_S:
            if rows := self.rows():
                write_table(self.folder / "trials.parquet", rows)
            self.update()
            self._table_written = time.monotonic()

    def _ledger(self, target: str) -> TrialLedger:
        several = len(self.space.data.targets) > 1
        return TrialLedger(
            self._storage,
            study_name=f"{self.space.name}-{target}-{self.space.digest[:8]}",
            space=self.space,
            prefix=f"{target}-t" if several else "t",
            searched_s=lambda: self._searching.seconds,
        )


class Stopwatch:
    """Seconds over several sessions and stretches of time."""

    def __init__(self, before: float, running: bool = False) -> None:
        self._before = before
        self._started = time.monotonic() if running else None

    @property
    def seconds(self) -> float:
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def start(self) -> None:
        self._started = time.monotonic()

    def stop(self) -> None:
        self._before, self._started = self.seconds, None


def earlier_record(folder: Path, space: SearchSpace, data: PreparedData) -> dict:
    """The record of an earlier session, or the beginning of one.

    Raises:
        ExperimentError: it cannot be read, or is that of another search.
    """
    path = folder / "search.json"
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise ExperimentError(
                f"{folder}: holds files but no search.json: choose another --name or --fresh"
            )
        return {"started": _now(), "seconds": 0.0, "search_seconds": 0.0, "failures": []}
    try:
        record = read_json(path)
        known = (record["name"], record["space"], record["dataset"]["digest"])
        seconds = [float(record[key]) for key in ("seconds", "search_seconds")]
    except (ValueError, KeyError, TypeError) as error:
        raise ExperimentError(
            f"{path}: expected the record of a search, got a damaged file ({type(error).__name__}: {error}): "
            "put the experiment aside with --fresh"
        ) from error
    for what, before, now in zip(
        ("name", "the search space", "the data (digest)"),
        known,
        (space.name, dict(space.content), data.store.digest),
        strict=True,
    ):
        if before != now:
            raise ExperimentError(
                f"{folder}: holds another experiment, in which {_difference(what, before, now)}: "
                "choose another --name, or put it aside with --fresh"
            )
    return record | dict(zip(("seconds", "search_seconds"), seconds, strict=True))


def _difference(where: str, before: Any, now: Any) -> str:
    """The first place in which two JSON values differ, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                inside = key if where == "the search space" else f"{where}.{key}"
                return _difference(inside, before.get(key), now.get(key))
    return f"{where} is {json.dumps(before)}, here {json.dumps(now)}"


def facts(space: SearchSpace, data: PreparedData, command: str) -> dict:
    """What `search.json` says of a search before it runs."""
    from suite.floors import FLOORS, floor_seeds
    from suite.models import MODELS

    notes = list(space.notes)
    notes += [
        f"{target} has no unit: data.unit can give one" for target, unit in data.units.items() if not unit
    ]
    return {
        "name": space.name,
        "command": command,
        "overrides": list(space.overrides),
        "space": dict(space.content),
        "space_digest": space.digest,
        "suite_version": package_version("crystalformer-suite"),
        "dataset": data.summary(),
        "models": {key: {"label": MODELS[key].label, "paper": MODELS[key].paper} for key in space.models},
        "budget": {
            "trials": space.budget.trials,
            "epochs": space.budget.epochs,
            "hours": space.budget.hours,
            "gpu_hours": space.budget.gpu_hours,
            "total_epochs": space.budget.total_epochs,
        },
        "final": {
            "top": space.final.top,
            "seeds": list(space.final.seeds),
            "epochs": space.final.epochs,
        },
        "floors": {
            key: {
                "label": floor.label,
                "paper": floor.paper,
                "seeds": list(floor_seeds(floor, space.final.seeds)),
            }
            for key, floor in FLOORS.items()
            if space.final.floors
        },
        "notes": notes,
        "provenance": provenance(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
