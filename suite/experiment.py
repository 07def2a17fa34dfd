"""One experiment's folder: what it is, what state it is in, and that only one process writes it.

    runs/<name>/space.yaml search.json trials.parquet study.db tensorboard/ trials/ final/ report/

Everything that a later session or the report needs is here. `search.json` is written as things change, the
trial table from the study, which is the record of the trials.
"""

import os
import time
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
    """The folder belongs to another search."""


class ExperimentBusy(RuntimeError):
    """Another process is writing the experiment."""


class Experiment:
    """The folder of one experiment, opened for writing.

    Attributes:
        folder: `runs/<name>`, absolute.
        record: the content of `search.json`.
    """

    def __init__(
        self, folder: Path, space: SearchSpace, data: PreparedData, record: dict, lock: FileLock
    ) -> None:
        self.folder = folder
        self.space = space
        self.data = data
        self.record = record
        self._lock = lock
        self._session_started = time.monotonic()
        self._seconds_before = float(record["seconds"])
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
            ExperimentError: the folder holds another search.
            ExperimentBusy: another process is writing it.
        """
        folder = runs.resolve() / space.name
        runs.mkdir(parents=True, exist_ok=True)
        lock = FileLock(runs.resolve() / f".{space.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ExperimentBusy(
                f"{folder}: another search is writing this experiment; wait for it or choose --name"
            ) from None
        try:
            if fresh and folder.exists():
                os.replace(folder, folder.with_name(f"{space.name}.{datetime.now():%Y%m%d-%H%M%S}"))
            record = _record_of(folder, space, data)
            record |= _facts(space, data, command)
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / "space.yaml", space.text)
            write_json(folder / "search.json", record)
            return cls(folder, space, data, record, lock)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.release()

    @property
    def seconds(self) -> float:
        """Seconds spent on the experiment, over all sessions."""
        return self._seconds_before + time.monotonic() - self._session_started

    def update(self, **changes: Any) -> None:
        """Change entries of `search.json`."""
        self.record |= {"seconds": self.seconds, **changes}
        write_json(self.folder / "search.json", self.record)

    def fail(self, entry: dict[str, str]) -> None:
        """Add a failure to the record, once."""
        if entry not in self.record["failures"]:
            self.update(failures=[*self.record["failures"], entry])

    def rows(self) -> list[dict]:
        """All trials of all targets."""
        return [row for target, ledger in self.ledgers.items() for row in ledger.rows(target)]

    def write_trials(self, now: bool = False) -> None:
        """Write `trials.parquet` from the study, at most every few seconds unless `now`."""
        if now or time.monotonic() - self._table_written > _TABLE_EVERY_S:
            rows = self.rows()
            if rows:
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
            seconds_before=self._seconds_before,
        )


def _record_of(folder: Path, space: SearchSpace, data: PreparedData) -> dict:
    """The record of an earlier session, or that of a new experiment."""
    if not (folder / "search.json").exists():
        return {"started": _now(), "finished": None, "seconds": 0.0, "failures": []}
    record = read_json(folder / "search.json")
    here = {
        "the search space": (record["space_digest"], space.digest),
        "the data": (record["dataset"]["digest"], data.store.digest),
    }
    for what, (before, now) in here.items():
        if before != now:
            raise ExperimentError(
                f"{folder}: holds an experiment in which {what} differs "
                f"(digest {before[:12]}, now {now[:12]}): "
                "choose another --name, or put it aside with --fresh"
            )
    return record


def _facts(space: SearchSpace, data: PreparedData, command: str) -> dict:
    from suite.models import MODELS

    notes = list(space.notes)
    notes += [
        f"{target} has no unit: data.unit can give one" for target, unit in data.units.items() if not unit
    ]
    return {
        "name": space.name,
        "status": "running",
        "command": command,
        "overrides": list(space.overrides),
        "space_digest": space.digest,
        "suite_version": package_version("crystalformer-suite"),
        "dataset": data.summary(),
        "models": {key: {"label": MODELS[key].label, "paper": MODELS[key].paper} for key in space.models},
        "budget": {
            "trials": space.budget.trials,
            "epochs": space.budget.epochs,
            "hours": space.budget.hours,
        },
        "final": {
            "top": space.final.top,
            "seeds": list(space.final.seeds),
            "epochs": space.final.epochs,
        },
        "notes": notes,
        "provenance": provenance(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
