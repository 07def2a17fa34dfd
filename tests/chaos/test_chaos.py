"""Workers, Ray's head and the search itself are killed, stopped and halted: in the end nobody could tell.

`make chaos` runs the long form, `LONG`, on the bundled data, CHAOS=short the short one.
"""

import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import optuna
import pandas as pd
import psutil
import pytest
from killing import start
from suite_fixtures import SMALL_MODELS, small_space
from weather import PATIENCE_S, SESSION_FAULTS, WORKER_FAULTS, Storm, Weather

SHORT = Weather(trials=4, epochs=40, worker=(8, 16), session=(20, 30), halt_s=0.5, sessions=3)
LONG = Weather(trials=60, epochs=40, worker=(10, 30), session=(60, 120), halt_s=5.0, sessions=None)
WEATHER = LONG if os.environ.get("CHAOS") == "long" else SHORT

EXACT = ["trial_id", "model", "state", "val_mae", "val_mae_raw", "epochs", "seed", "ended", "config"]
STATES = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"}


def command(folder: Path) -> list[str]:
    """Three models, one trial at a time, so that the order of results is one."""
    models = {**SMALL_MODELS, "crystalframer": {**SMALL_MODELS["crystalformer"], "angle_basis": 4}}
    changes: dict[str, object] = {
        "models": models,
        "budget": {"trials": WEATHER.trials, "epochs": WEATHER.epochs},
        "search": {"concurrent": 1, "grace_epochs": 2, "reduction": 2},
        "final": {"seeds": [0]},
    }
    if WEATHER is LONG:
        data = {"dataset": "mp-elastic-2015", "target": "log10_K_VRH", "subset": 60}
        changes["data"] = data
    folder.mkdir()
    space = small_space(folder, **changes)
    search = [sys.executable, "-m", "suite.search", "--space", str(space)]
    return [*search, "--runs", str(folder / "runs"), "--data", str(folder / "data")]


def weather_the_storm(calm: Path, stormy: Path) -> Storm:
    """The same search twice, side by side: one is left alone."""
    undisturbed = start(command(calm), calm / "log.txt")
    try:
        storm = Storm(command(stormy), stormy, WEATHER, random.Random(0))
        storm.rage()
        assert undisturbed.wait() == 0, (calm / "log.txt").read_text()
    finally:
        undisturbed.terminate()
        undisturbed.wait()
    return storm


@pytest.mark.skipif("CHAOS" not in os.environ, reason="takes long: CHAOS=short, or make chaos")
@pytest.mark.timeout(4 * 3600 if WEATHER is LONG else 3600)
def test_a_storm_leaves_no_trace(tmp_path: Path) -> None:
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    started = time.monotonic()
    storm = weather_the_storm(calm, stormy)
    print(f"\n{(time.monotonic() - started) / 60:.1f} min; {storm.starts} starts; {dict(storm.struck)}")
    if WEATHER is SHORT:
        assert {*list(SESSION_FAULTS)[: WEATHER.sessions], *WORKER_FAULTS} <= set(storm.struck)
    assert_same_table(calm, stormy)
    assert_same_study(stormy)
    assert_same_final_runs(calm, stormy)
    assert_nothing_left(stormy)
    assert not psutil.wait_procs(storm.processes, PATIENCE_S)[1]


def table(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "runs/small/trials.parquet")


def assert_same_table(calm: Path, stormy: Path) -> None:
    expected, after = table(calm), table(stormy)
    pd.testing.assert_frame_equal(after[EXACT], expected[EXACT], check_exact=True)
    assert len(after) == WEATHER.trials
    for trial, epochs in zip(after["trial_id"], after["epochs"], strict=True):
        curves = [epochs_of(folder, f"trials/{trial}") for folder in (calm, stormy)]
        pd.testing.assert_frame_equal(*curves, check_exact=True)
        assert curves[1]["epoch"].tolist() == list(range(1, int(epochs) + 1))


def epochs_of(folder: Path, run: str) -> pd.DataFrame:
    """A learning curve without its times."""
    curve = pd.read_csv(folder / "runs/small" / run / "curve.csv")
    return curve.drop(columns=["crystals_per_s", "seconds", "eval_seconds"])


def assert_same_study(stormy: Path) -> None:
    storage = f"sqlite:///{stormy}/runs/small/study.db"
    [summary] = optuna.get_all_study_summaries(storage)
    study, after = optuna.load_study(study_name=summary.study_name, storage=storage), table(stormy)
    assert [STATES[trial.state.name] for trial in study.trials] == after["state"].tolist()
    assert [trial.user_attrs["trial_id"] for trial in study.trials] == after["trial_id"].tolist()


def assert_same_final_runs(calm: Path, stormy: Path) -> None:
    runs = [
        sorted(path.name for path in (folder / "runs/small/final").iterdir()) for folder in (calm, stormy)
    ]
    assert runs[0] == runs[1]
    assert runs[0]
    for run in runs[0]:
        predictions = [
            pd.read_parquet(folder / "runs/small/final" / run / "predictions.parquet")
            for folder in (calm, stormy)
        ]
        pd.testing.assert_frame_equal(*predictions, check_exact=True)


def assert_nothing_left(stormy: Path) -> None:
    left = names_of(stormy, (".partial", ".wanted", ".asked", ".holder", ".tmp-", "checkpoint"))
    assert left == []


def names_of(folder: Path, parts: Sequence[str]) -> list[str]:
    return [path.name for path in folder.rglob("*") if any(part in path.name for part in parts)]
