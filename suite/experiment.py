"""One experiment's folder: what it is, what state it is in, and that only one process writes it.

    runs/<name>/space.yaml search.json trials.parquet study.db tensorboard/ trials/ final/ report/

Everything that a later session or the report needs is here. `search.json` is written as things change, the
trial table from the study, which is the record of the trials.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from crystalformer.sources.rejections import write_report
from suite.earlier_trials import import_earlier_trials
from suite.file_names import in_file_names
from suite.ledger import TrialLedger
from suite.leftovers import remove_leftovers
from suite.mirror import Mirror, MirrorError
from suite.population import PopulationLedger
from suite.prepare import PreparedData
from suite.records import write_json, write_table, write_text
from suite.search_record import ExperimentError, difference, earlier_record, facts
from suite.space.search_space import SearchSpace
from suite.stopwatch import Stopwatch
from suite.storage import Storage, has_study, open_storage
from suite.storage_url import DEFAULT
from suite.trial import read_curve
from suite.trial_record import Curve

REJECTED = "rejected.csv"
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
        self,
        folder: Path,
        space: SearchSpace,
        data: PreparedData,
        record: dict,
        storage: Storage,
        lock: FileLock,
    ) -> None:
        self.folder = folder
        self.space = space
        self.data = data
        self.record = record
        self._lock = lock
        self._total = Stopwatch(record["seconds"], running=True)
        self._searching = Stopwatch(record["search_seconds"])
        self._table_written = 0.0
        self._storage = storage
        self.ledgers = {target: self._ledger(target) for target in space.data.targets}

    @classmethod
    def open(
        cls,
        runs: Path,
        space: SearchSpace,
        data: PreparedData,
        command: str,
        fresh: bool,
        storage: str = DEFAULT,
        mirror: Mirror | None = None,
    ) -> Self:
        """Begin the experiment or go on with it.

        Under a changed search space it goes on with new studies, which import the trials that fit.

        Args:
            runs: folder of all experiments.
            space: the checked search space.
            data: its data.
            command: the command line, for the record.
            fresh: put an earlier experiment of this name aside, as `<name>.<time>`, and begin anew.
            storage: URL of the study, see `suite.storage_url`.
            mirror: has a copy of the experiment, which is fetched where there is no folder.

        Raises:
            ExperimentError: the folder holds a search over other data, is damaged, or cannot be written.
            ExperimentBusy: another process is writing it.
            MirrorError: the copy is of another experiment, or later than the folder.
            StorageDown: the server of the study does not answer.
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
            if mirror is not None:
                mirror.settle(folder)
            earlier = earlier_record(folder, space, data, storage)
            folder.mkdir(parents=True, exist_ok=True)
            opened = open_storage(storage, folder)
            if earlier.get("space_digest") == space.digest and (folder / "trials.parquet").exists():
                _check_studies(opened, space, earlier)
            experiment = cls(folder, space, data, earlier | facts(space, data, command), opened, lock)
            remove_leftovers(folder, experiment._ended())
            if earlier.get("space", dict(space.content)) != space.content:
                experiment._begin_new_studies(earlier)
            experiment.record["notes"] += [
                ledger.beginning for ledger in experiment.ledgers.values() if ledger.beginning
            ]
            # Until here, a search that is broken off is one whose space is still to change.
            experiment.update(status="running", finished=None)
            write_text(folder / "space.yaml", space.text)
            write_report(folder / REJECTED, data.left_out())
            return experiment
        except (OSError, ValueError) as error:
            lock.release()
            if isinstance(error, ExperimentError | MirrorError):
                raise
            raise ExperimentError(f"{error}; --fresh puts the experiment aside and begins anew") from error
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None:
                with suppress(OSError):  # on a full disk the record says what it said before
                    self.update(status="interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")
        finally:
            self._lock.release()

    def update(self, **changes: Any) -> None:
        """Change entries of `search.json`."""
        times = {"seconds": self._total.seconds, "search_seconds": self._searching.seconds}
        self.record |= times | changes
        write_json(self.folder / "search.json", self.record)

    @contextmanager
    def searching(self) -> Iterator[None]:
        """The time in it counts for the budget in hours; table and folders are in order after it."""
        self._searching.start()
        try:
            yield
        finally:
            self._searching.stop()
            self.write_trials(now=True)
            remove_leftovers(self.folder, self._ended())

    def rows(self) -> list[dict]:
        """All trials of all targets."""
        return [row for target, ledger in self.ledgers.items() for row in ledger.rows(target)]

    def _ended(self) -> set[str]:
        trials = (trial for ledger in self.ledgers.values() for trial in ledger.trials())
        return {trial.assignment.trial_id for trial in trials if trial.state != "running"}

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
        population = self.space.search.scheduler == "pbt"
        return (PopulationLedger if population else TrialLedger)(
            self._storage,
            study_name=_study_name(self.space, target, self.record["id"]),
            space=self.space,
            prefix=f"{in_file_names(target)}-t" if len(self.space.data.targets) > 1 else "t",
            searched_s=lambda: self._searching.seconds,
            facts={
                "experiment": self.record["id"],
                "target": target,
                "space": self.space.digest[:8],
                "unit": self.data.units[target],
                "data": self.data.store.digest,
                "split": self.data.splits[target].hash,
                "epochs": self.space.budget.epochs,
                "objective": list(self.space.objective),
                "population": population,
            },
            curve_of=self._curve_of,
        )

    def _curve_of(self, trial_id: str) -> Curve:
        curve = Curve()
        for row in read_curve(self.folder / "trials" / trial_id / "curve.csv"):
            curve.note(int(row["epoch"]), float(row["val_mae"]))
        return curve

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


def _study_name(space: SearchSpace, target: str, experiment: str) -> str:
    """With the experiment's id, because a server has the studies of many, some of the same name."""
    return f"{space.name}-{target}-{space.digest[:8]}-{experiment}"


def _check_studies(storage: Storage, space: SearchSpace, earlier: dict) -> None:
    for target in space.data.targets:
        if not has_study(storage, name := _study_name(space, target, earlier["id"])):
            raise ExperimentError(
                f"its study {name} is not in {earlier['storage']}: bring it back, or put the experiment "
                "aside with --fresh"
            )
