"""Every opening of the test split is on record, that of a run which broke off or was damaged included."""

import json
from pathlib import Path

import pytest
from suite_fixtures import small_space

from crystalformer.data.manifest import file_sha256
from suite import floors
from suite.experiment import Experiment
from suite.floors import FloorJob, run_floor
from suite.prepare import prepare_data
from suite.records import read_json
from suite.space.search_space import load_space
from suite.tasks import final_jobs
from suite.test_reads import keep_earlier_reads, log_test_read

TARGET = "log10_K_VRH"


def mean_job(folder: Path) -> FloorJob:
    """The cheapest of final runs: the training mean."""
    space = load_space(small_space(folder), ("models={cgcnn: {node_width: 8}}", "final.seeds=[3]"))
    data = prepare_data(space, folder / "data")
    with Experiment.open(folder / "runs", space, data, "command", False) as experiment:
        trial = experiment.ledgers[TARGET].next()
        assert trial is not None
        experiment.ledgers[TARGET].finish(trial.number, "complete", "done", {"epochs": 4, "val_mae": 0.3})
        jobs = [job for job in final_jobs(experiment) if isinstance(job, FloorJob)]
    return next(job for job in jobs if job.task.model == "mean")


def reads_of(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "test_reads.jsonl").read_text().splitlines()]


def test_one_run_reads_once_and_seals_its_predictions(tmp_path: Path) -> None:
    job = mean_job(tmp_path)
    run_floor(job)
    record = read_json(job.folder / "run.json")
    assert reads_of(job.folder) == [{"read_at": record["test_read_at"], "split_hash": job.task.split}]
    assert record["predictions_sha256"] == file_sha256(job.folder / "predictions.parquet")


def test_a_run_that_broke_off_and_one_that_was_damaged_stay_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = mean_job(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(floors, "publish", fail)
        with pytest.raises(OSError, match="no space"):
            run_floor(job)
    assert not job.finished
    run_floor(job)
    assert len(reads_of(job.folder)) == 2
    (job.folder / "curve.csv").unlink()
    assert not job.finished
    run_floor(job)
    times = [read["read_at"] for read in reads_of(job.folder)]
    assert len(times) == 3
    assert times == sorted(times)
    assert times[-1] == read_json(job.folder / "run.json")["test_read_at"]


def test_nothing_to_keep_is_no_obstacle(tmp_path: Path) -> None:
    log_test_read(tmp_path / "run", "5a")
    keep_earlier_reads(tmp_path / "absent", tmp_path / "run")
    assert [read["split_hash"] for read in reads_of(tmp_path / "run")] == ["5a"]
