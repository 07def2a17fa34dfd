"""The life of an experiment: extended, begun anew, over two targets, with two writers, losing a worker."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock
from suite_fixtures import small_space, write_small_table

from suite.search import main

ROOT = Path(__file__).resolve().parents[2]
ONE_AT_A_TIME = {"grace_epochs": 1, "concurrent": 1}  # each process of Ray takes seconds to start
ONE_MODEL = {
    "models": {"cgcnn": {"node_width": 8, "hidden_width": 16}},
    "budget": {"trials": 2, "epochs": 2},
    "search": ONE_AT_A_TIME,
    "final": {"seeds": [0], "floors": False},
}


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def trials_of(folder: Path, name: str = "small") -> pd.DataFrame:
    return pd.read_parquet(folder / "runs" / name / "trials.parquet")


def test_a_finished_search_is_extended_and_begun_anew(
    finished: Path, tmp_path: Path, search_command: Callable[..., list[str]]
) -> None:
    for name in ("runs", "data"):
        shutil.copytree(finished / name, tmp_path / name)
    shutil.copy(finished / "space.yaml", tmp_path)
    before = trials_of(finished)
    assert len(before) == 6

    run(search_command(tmp_path, "--trials", "8"))
    after = trials_of(tmp_path)
    assert after["trial_id"].tolist() == [f"t{number:04d}" for number in range(8)]
    pd.testing.assert_frame_equal(after[:6][list(before.columns)], before)

    small_space(tmp_path, **ONE_MODEL)
    done = run(search_command(tmp_path, "--fresh"))
    assert "started" in done.stdout
    assert len(trials_of(tmp_path)) == 2
    aside = [path for path in (tmp_path / "runs").iterdir() if path.name.startswith("small.")]
    assert len(aside) == 1
    assert len(pd.read_parquet(aside[0] / "trials.parquet")) == 8


def test_two_targets_are_two_studies(tmp_path: Path, search_command: Callable[..., list[str]]) -> None:
    table = write_small_table(tmp_path / "two.jsonl")
    records = [json.loads(line) for line in table.read_text().splitlines()]
    for record in records:
        record["targets"]["density"] = len(record["species"]) + 0.1 * sum(record["species"])
    table.write_text("\n".join(map(json.dumps, records)))
    data = {"dataset": {"path": str(table)}, "target": ["log10_K_VRH", "density"]}
    small_space(tmp_path, **(ONE_MODEL | {"data": data, "budget": {"trials": 2, "epochs": 1}}))
    done = run(search_command(tmp_path))
    assert "note: density has no unit: data.unit can give one" in done.stdout
    trials = trials_of(tmp_path)
    assert trials["target"].tolist() == ["log10_K_VRH"] * 2 + ["density"] * 2
    assert trials["trial_id"].is_unique
    report = pd.read_csv(tmp_path / "runs/small/report/mae_table.csv")
    measured = report[report["kind"] == "measured"]
    assert set(measured["target"]) == {"log10_K_VRH", "density"}


def test_a_model_without_a_usable_trial_is_said_and_the_rest_reported(
    tmp_path: Path, search_command: Callable[..., list[str]]
) -> None:
    table = write_small_table(tmp_path / "small.jsonl")
    records = [json.loads(line) for line in table.read_text().splitlines()]
    for record in records:
        record["species"][0] = 99  # more than Crystalformer's 98 elements, within CGCNN's 100
    table.write_text("\n".join(map(json.dumps, records)))
    budget = {"trials": 2, "epochs": 1}
    small_space(tmp_path, budget=budget, search=ONE_AT_A_TIME, final={"seeds": [0], "floors": False})
    for _ in range(2):
        done = subprocess.run(search_command(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "missing: crystalformer: no trial for log10_K_VRH came to a usable end" in done.stderr
        assert "Traceback" not in done.stdout + done.stderr
    assert trials_of(tmp_path)["state"].tolist() == ["failed", "complete"]
    assert "99" in trials_of(tmp_path)["ended"][0]
    search = json.loads((tmp_path / "runs/small/search.json").read_text())
    assert search["status"] == "failed"
    assert [entry["model"] for entry in search["failures"]] == ["crystalformer"] * 2
    report = pd.read_csv(tmp_path / "runs/small/report/mae_table.csv")
    assert set(report[report["kind"] == "measured"]["model"]) == {"cgcnn"}


def test_a_second_writer_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    space = small_space(tmp_path, **ONE_MODEL)
    (tmp_path / "runs").mkdir()
    arguments = ["--space", str(space), "--runs", str(tmp_path / "runs"), "--data", str(tmp_path / "data")]
    with FileLock(tmp_path / "runs" / ".small.lock"):
        assert main(arguments) == 1
    message = capfd.readouterr().err
    assert "another search is writing this experiment" in message
    assert not (tmp_path / "runs" / "small").exists()


def test_a_killed_worker_costs_a_trial_nothing(
    tmp_path: Path, search_command: Callable[..., list[str]]
) -> None:
    small_space(tmp_path, **(ONE_MODEL | {"budget": {"trials": 1, "epochs": 40}}))
    command = search_command(tmp_path)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    curve = tmp_path / "runs/small/trials/t0000/curve.csv"
    end = time.monotonic() + 400
    while not (curve.exists() and len(curve.read_text().splitlines()) > 5):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(_owner_of(curve.parent / ".lock"), signal.SIGKILL)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    trials = trials_of(tmp_path)
    assert trials["state"].tolist() == ["complete"]
    assert pd.read_csv(curve)["epoch"].tolist() == list(range(1, 41))


def _owner_of(lock: Path) -> int:
    """The process that has the file open."""
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if descriptor.readlink() == lock:
                return int(descriptor.parts[2])
        except OSError:
            continue
    pytest.fail(f"nobody holds {lock}")
