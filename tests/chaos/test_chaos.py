"""Workers, Ray's head and the search itself are killed, stopped and halted: in the end nobody could tell.

`make chaos` runs the long form, see `LONG`; with CHAOS=short it is over in some minutes.
"""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
PATIENCE_S = 120.0  # for Ray to notice what it has lost


@dataclass(frozen=True)
class Weather:
    """How bad it gets: trials and epochs, and how many seconds a worker and a session live from their first
    checkpoint on: one that is killed before it gets anywhere would only be a loop.

    A worker in three is halted for `halt_s` instead of killed. `sessions` is how many sessions are ended,
    None for as many as there are until the search is done.
    """

    trials: int
    epochs: int
    worker_s: tuple[float, float]
    session_s: tuple[float, float]
    halt_s: float
    sessions: int | None


SHORT = Weather(trials=6, epochs=60, worker_s=(0.5, 2.0), session_s=(1.0, 2.5), halt_s=1.0, sessions=4)
LONG = Weather(trials=60, epochs=40, worker_s=(2.0, 6.0), session_s=(30.0, 60.0), halt_s=5.0, sessions=None)


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
    # Ray waits a minute for a lost head unless told otherwise.
    environment = {**os.environ, "RAY_gcs_rpc_server_reconnect_timeout_s": "3"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
    )


def family(search: subprocess.Popen) -> list[psutil.Process]:
    """The search and everything it started: Ray's head, its workers."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(search.pid)
        return [*parent.children(recursive=True), parent]
    return []


def send(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def named(search: subprocess.Popen, name: str) -> list[psutil.Process]:
    """The processes whose command begins so."""
    found = []
    for process in family(search):
        with suppress(psutil.NoSuchProcess):
            if process.cmdline() and Path(process.cmdline()[0]).name.startswith(name):
                found.append(process)
    return found


def workers(search: subprocess.Popen) -> list[psutil.Process]:
    """The processes that train trials; Ray names them so."""
    return named(search, "ray::ResourceTrainable")


def end_all(search: subprocess.Popen) -> None:
    """The search and all that it started, at once, as a reboot does."""
    send(family(search), signal.SIGKILL)
    search.wait()


def end_head(search: subprocess.Popen, name: str) -> None:
    """One process of Ray's head alone; whatever the search makes of it, it ends, and not as done."""
    everything = family(search)
    send(named(search, name), signal.SIGKILL)
    try:
        assert search.wait(PATIENCE_S) != 0
    finally:
        send(everything, signal.SIGKILL)


def ask_to_stop(search: subprocess.Popen) -> None:
    everything = family(search)
    search.send_signal(signal.SIGTERM)
    try:
        assert search.wait(PATIENCE_S) in (130, 0)  # 0: it was just done
    finally:
        send(everything, signal.SIGKILL)


SESSION_FAULTS: dict[str, Callable[[subprocess.Popen], None]] = {
    "all killed": end_all,
    "raylet killed": lambda search: end_head(search, "raylet"),
    "asked to stop": ask_to_stop,
    "gcs_server killed": lambda search: end_head(search, "gcs_server"),
}


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


def storm(folder: Path, space_file: Path, weather: Weather, rng: random.Random) -> Counter[str]:
    """Run the search to its end through the weather; how often each fault struck."""
    struck: Counter[str] = Counter()
    faults: Iterator[str] = itertools.cycle(SESSION_FAULTS)
    while True:
        search, session = start(folder, space_file), Clock(folder, time.time())
        ended = sum(struck[fault] for fault in SESSION_FAULTS)
        spared = weather.sessions is not None and ended >= weather.sessions
        session_life = float("inf") if spared else rng.uniform(*weather.session_s)
        _bother_workers(folder, search, session, session_life, weather, rng, struck)
        if search.poll() is None:
            fault = next(faults)
            SESSION_FAULTS[fault](search)
            struck[fault] += 1
        elif search.returncode == 0:
            return struck
        else:
            assert search.returncode == 1, (folder / "log.txt").read_text()  # said to be resumable


def _bother_workers(
    folder: Path,
    search: subprocess.Popen,
    session: Clock,
    session_life: float,
    weather: Weather,
    rng: random.Random,
    struck: Counter[str],
) -> None:
    """Until the session is to end, or ends."""
    worker, worker_life = session, rng.uniform(*weather.worker_s)
    while search.poll() is None and session.progress() < session_life:
        time.sleep(0.05)
        if worker.progress() <= worker_life or not (present := workers(search)):
            continue
        if rng.random() < 1 / 3:
            send(present, signal.SIGSTOP)
            time.sleep(weather.halt_s)
            send(present, signal.SIGCONT)
            struck["worker halted"] += 1
        else:
            send(present, signal.SIGKILL)
            struck["worker killed"] += 1
        worker, worker_life = Clock(folder, time.time()), rng.uniform(*weather.worker_s)


def table(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "runs/small/trials.parquet")


@pytest.mark.skipif("CHAOS" not in os.environ, reason="takes long: make chaos")
@pytest.mark.timeout(5400 if os.environ.get("CHAOS") == "long" else 1200)
def test_a_storm_leaves_no_trace(tmp_path: Path) -> None:
    weather = LONG if os.environ.get("CHAOS") == "long" else SHORT
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    calm_space, stormy_space = space(calm, weather), space(stormy, weather)
    undisturbed = start(calm, calm_space)
    assert undisturbed.wait() == 0, (calm / "log.txt").read_text()
    started = time.monotonic()
    struck = storm(stormy, stormy_space, weather, random.Random(0))
    print(f"{(time.monotonic() - started) / 60:.1f} min; {dict(struck)}")
    assert struck["worker killed"] + struck["worker halted"]
    assert set(SESSION_FAULTS) <= set(struck) or weather is LONG
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
