"""`CurveFollower`: the epochs of final runs, for whoever watches a search."""

from pathlib import Path

from suite.final import FinalJob
from suite.progress import Watcher
from suite.records import read_json
from suite.trial import read_curve


class CurveFollower:
    """Tells a watcher of the epochs of final runs, read from the curves they write."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._seen: dict[str, int] = {}

    def look(self, job: FinalJob) -> None:
        """Report the epochs that are new since the last look."""
        folder = job.folder if job.finished else Path(job.task.folder)
        for row in read_curve(folder / "curve.csv")[self._seen.get(job.task.run_id, 0) :]:
            epoch = int(row["epoch"])
            self._seen[job.task.run_id] = epoch
            self._watcher.epoch(job.task.run_id, epoch, float(row["val_mae"]), float(row["crystals_per_s"]))

    def ended(self, job: FinalJob, failure: str | None) -> None:
        """Report the end of a run with its validation error; the test error is the report's to show."""
        if failure is not None:
            self._watcher.ended(job.task.run_id, "failed", failure, None)
            return
        value = read_json(job.folder / "run.json")["metrics"]["val"]["mae"]
        self._watcher.ended(job.task.run_id, "complete", job.done, value)
