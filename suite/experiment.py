"""One experiment's folder: what it is, what state it is in, and that only one process writes it.

    runs/<name>/space.yaml search.json trials.parquet study.db tensorboard/ trials/ final/ report/

Everything that a later session or the report needs is here. `search.json` is written as things change, the
trial table from the study, which is the record of the trials.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from suite.earlier_trials import import_earlier_trials
from suite.ledger import TrialLedger, open_storage
from suite.population import PopulationLedger
from suite.prepare import PreparedData
from suite.records import write_json, write_table, write_text
from suite.search_record import ExperimentError, difference, earlier_record, facts
from suite.space.search_space import SearchSpace

_TABLE_EVERY_S = 2.0


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

        Under a changed search space it goes on with new studies, which import the trials that fit.

        Args:
            runs: folder of all experiments.
            space: the checked search space.
            data: its data.
            command: the command line, for the record.
            fresh: put an earlier experiment of this name aside, as `<name>.<time>`, and begin anew.

        Raises:
            ExperimentError: the folder holds a search over other data, is damaged, or cannot be written.
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
            earlier = earlier_record(folder, space, data)
            folder.mkdir(parents=True, exist_ok=True)
            experiment = cls(folder, space, data, earlier | facts(space, data, command), lock)
            if earlier.get("space", dict(space.content)) != space.content:
                experiment._begin_new_studies(earlier)
            experiment.record["notes"] += [
                ledger.beginning for ledger in experiment.ledgers.values() if ledger.beginning
            ]
            # Until here, a search that is broken off is one whose space is still to change.
            experiment.update(status="running", finished=None)
            write_text(folder / "space.yaml", space.text)
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
            else:
                (self.folder / "trials.parquet").unlink(missing_ok=True)
            self.update()
            self._table_written = time.monotonic()

    def _ledger(self, target: str) -> TrialLedger:
        several, digest = len(self.space.data.targets) > 1, self.space.digest[:8]
        population = self.space.search.scheduler == "pbt"
        return (PopulationLedger if population else TrialLedger)(
            self._storage,
            study_name=f"{self.space.name}-{target}-{digest}",
            space=self.space,
            prefix=f"{target}-t" if several else "t",
            searched_s=lambda: self._searching.seconds,
            facts={
                "experiment": self.space.name,
                "target": target,
                "space": digest,
                "data": self.data.store.digest,
                "split": self.data.splits[target].hash,
                "epochs": self.space.budget.epochs,
                "objective": list(self.space.objective),
                "population": population,
            },
        )

    def _begin_new_studies(self, earlier: dict) -> None:
        """Keep the earlier search's record and space, and import its trials into the new studies."""
        kept = self.folder / "earlier" / str(earlier["space_digest"])[:8]
        kept.parent.mkdir(exist_ok=True)
        for name, suffix in (("search.json", ".json"), ("space.yaml", ".yaml")):
            if (self.folder / name).exists():
                write_text(kept.with_suffix(suffix), (self.folder / name).read_text(encoding="utf-8"))
        change = difference("the search space", earlier["space"], dict(self.space.content))
        for target, ledger in self.ledgers.items():
            of = f" for {target}" if len(self.ledgers) > 1 else ""
            imported = import_earlier_trials(ledger, self._storage)
            ledger.beginning = f"the search space changed, {change}: a new study{of} has {imported}"
        self.write_trials(now=True)


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
