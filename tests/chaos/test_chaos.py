"""Workers and drivers are killed while a search runs: in the end nobody could tell.

`make chaos` runs it, see `LONG`; with CHAOS=short it is over in some minutes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
import pandas as pd
import psutil
import pytest
from suite_fixtures import SMALL_MODELS, small_space

ROOT = Path(__file__).parents[2]
EXACT = ["trial_id", "model", "state", "val_mae", "val_mae_raw", "epochs", "seed", "ended", "config"]


@dataclass(frozen=True)
class Weather:
    """How bad it gets: trials and epochs, and how many seconds a worker and a session live from their first
    checkpoint on: one that is killed before it gets anywhere would only be a loop.
    """

    trials: int
    epochs: int
    worker_s: tuple[float, float]
    driver_s: tuple[float, float]


SHORT = Weather(trials=6, epochs=80, worker_s=(0.5, 2.0), driver_s=(3.0, 5.0))
LONG = Weather(trials=60, epochs=40, worker_s=(2.0, 6.0), driver_s=(30.0, 60.0))


def space(folder: Path, weather: Weather) -> Path:
    """Three models, one trial at a time, so that the order of results is one."""
    models = {**SMALL_MODELS, "crystalframer": {**SMALL_MODELS["crystalformer"], "angle_basis": 4}}
    folder.mkdir()
    return small_space(
        folder,
        budget={"trials": weather.trials, "epochs": weather.epochs},
        search={"concurrent": 1, "grace_epochs": 2, "reduction": 2},
        models=models,
        final={"seeds": [0]},
    )


def start(folder: Path, space_file: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "suite.search", "--space", str(space_file)]
    command += ["--runs", str(folder / "runs"), "--data", str(folder / "data")]
    log = (folder / "log.txt").open("a")
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


def family(search: subprocess.Popen) -> list[psutil.Process]:
    """The search and everything it started: Ray's head, its workers."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(search.pid)
        return [*parent.children(recursive=True), parent]
    return []


def kill(processes: list[psutil.Process]) -> int:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    return len(processes)


def workers(search: subprocess.Popen) -> list[psutil.Process]:
    """The processes that train trials; Ray names them so."""
    found = []
    for process in family(search):
        with suppress(psutil.NoSuchProcess):
            if process.cmdline() and process.cmdline()[0].startswith("ray::TrialActor"):
                found.append(process)
    return found


class Clock:
    """Seconds since the first checkpoint that was written after a time."""

    def __init__(self, folder: Path, since: float) -> None:
        self.folder, self.since = folder, since
        self.first: float | None = None

    def progress(self) -> float:
        """0 until there is a checkpoint."""
        if self.first is None and self._written():
            self.first = time.time()
        return 0.0 if self.first is None else time.time() - self.first

    def _written(self) -> bool:
        for file in (self.folder / "runs/small/trials").glob("*/checkpoint.safetensors"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime > self.since:
                    return True
        return False


def storm(folder: Path, space_file: Path, weather: Weather, rng: random.Random) -> tuple[int, int]:
    """Run the search to its end through the weather; how many workers and drivers were killed."""
    killed_workers = killed_drivers = 0
    while True:
        search, session = start(folder, space_file), Clock(folder, time.time())
        session_life, worker_life = rng.uniform(*weather.driver_s), rng.uniform(*weather.worker_s)
        worker = session
        while search.poll() is None and session.progress() < session_life:
            time.sleep(0.05)
            if worker.progress() > worker_life and (present := workers(search)):
                killed_workers += kill(present)
                worker, worker_life = Clock(folder, time.time()), rng.uniform(*weather.worker_s)
        if search.poll() is None:
            kill(family(search))
            search.wait()
            killed_drivers += 1
        elif search.returncode == 0:
            return killed_workers, killed_drivers
        else:
            assert search.returncode == 1, (folder / "log.txt").read_text()  # said to be resumable


def table(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "runs/small/trials.parquet")


@pytest.mark.skipif("CHAOS" not in os.environ, reason="takes long: make chaos")
@pytest.mark.timeout(3600)
def test_a_storm_leaves_no_trace(tmp_path: Path) -> None:
    weather = LONG if os.environ["CHAOS"] == "long" else SHORT
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    calm_space, stormy_space = space(calm, weather), space(stormy, weather)
    undisturbed = start(calm, calm_space)
    assert undisturbed.wait() == 0, (calm / "log.txt").read_text()
    killed = storm(stormy, stormy_space, weather, random.Random(0))
    print(f"killed {killed[0]} workers and {killed[1]} times the search with Ray's head")
    assert min(killed) >= 1
    expected, after = table(calm), table(stormy)
    pd.testing.assert_frame_equal(after[EXACT], expected[EXACT], check_exact=True)
    assert len(after) == weather.trials
    storage = f"sqlite:///{stormy}/runs/small/study.db"
    [summary] = optuna.get_all_study_summaries(storage)
    study = optuna.load_study(study_name=summary.study_name, storage=storage)
    names = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"}
    assert [names[trial.state.name] for trial in study.trials] == after["state"].tolist()
    for run in (calm / "runs/small/final").glob("[!.]*"):
        again = stormy / "runs/small/final" / run.name / "predictions.parquet"
        predictions = pd.read_parquet(run / "predictions.parquet")
        pd.testing.assert_frame_equal(pd.read_parquet(again), predictions, check_exact=True)
