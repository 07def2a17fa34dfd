"""A training run by itself: resumption, its folder, and what it may see of the data."""

from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from trial_tasks import task_of

from crystalformer.data.splits import load_split
from crystalformer.training.evaluate import predict
from suite.final import FinalJob, run_final
from suite.ray_driver.actor import TrialActor
from suite.records import read_json
from suite.trial import TrialRun, read_curve
from suite.trial_task import TrialTask

MODELS = ["crystalformer", "cgcnn"]


def run_to_end(task: TrialTask) -> list[float]:
    run = TrialRun(task)
    try:
        return [run.step().val_mae for _ in range(run.trainer.config.epochs)]
    finally:
        run.close()


@pytest.mark.parametrize("model", MODELS)
def test_a_resumed_run_repeats_its_last_record_and_then_equals_the_whole_one(
    tmp_path: Path, model: str
) -> None:
    whole = task_of(tmp_path, model, folder=str(tmp_path / "whole"))
    expected = run_to_end(whole)

    task = task_of(tmp_path, model)
    first = TrialRun(task)
    assert [first.step().val_mae for _ in range(2)] == expected[:2]
    first.close()
    assert task.checkpoint.exists()

    second = TrialRun(task)
    done = second.trainer.epoch
    assert 1 <= done <= 2
    assert [second.step().val_mae for _ in range(4 - done + 1)] == expected[done - 1 :]
    second.close()
    curves = [
        pd.read_csv(t.curve).drop(columns=["crystals_per_s", "seconds", "eval_seconds"])
        for t in (whole, task)
    ]
    pd.testing.assert_frame_equal(*curves)
    assert curves[0]["epoch"].tolist() == [1, 2, 3, 4]


def test_a_checkpoint_of_another_configuration_is_not_used(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn")
    run = TrialRun(task)
    run.step()
    run.close()
    other = TrialRun(replace(task, seed=2))
    assert other.trainer.epoch == 0
    assert read_curve(task.curve) == []
    other.close()


@pytest.mark.parametrize("end", ["", "\0\0\0\n", "\n2,0.1\n"])
def test_a_half_written_curve_and_checkpoint_are_no_obstacle(tmp_path: Path, end: str) -> None:
    task = task_of(tmp_path, "cgcnn")
    expected = run_to_end(replace(task, folder=str(tmp_path / "whole")))
    run = TrialRun(task)
    run.step()
    run.close()
    task.checkpoint.write_bytes(task.checkpoint.read_bytes()[:100])
    with task.curve.open("a") as file:
        file.write(f"2,0.1,0.{end}")
    assert run_to_end(task) == expected
    assert [row["epoch"] for row in read_curve(task.curve)] == ["1", "2", "3", "4"]


def test_training_never_sees_a_test_crystal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(tmp_path, "cgcnn", epochs=1)
    run = TrialRun(task)
    test_rows = set(run.setup.store.rows(load_split(run.setup.store, task.split).test).tolist())
    seen: set[int] = set()
    kind = type(run.setup.data.make_batch)
    make_batch = kind.__call__

    def watched(self, rows):  # type: ignore[no-untyped-def]
        seen.update(rows.tolist())
        return make_batch(self, rows)

    monkeypatch.setattr(kind, "__call__", watched)
    run.step()
    run.close()
    assert seen >= set(run.setup.data.val.tolist())
    assert seen & set(run.setup.data.train.tolist())
    assert test_rows
    assert not seen & test_rows
    # Nor do the scaled targets depend on them: offset and scale come from the training crystals.
    train = run.setup.data.values[run.setup.data.train]
    assert run.setup.data.scaler.means[0] == pytest.approx(train.mean())


def test_targets_enter_the_loss_as_they_are_where_they_are_not_scaled(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn", epochs=1)
    run = TrialRun(replace(task, train_config={**task.train_config, "scale_targets": False}))
    rows = run.setup.data.train[:5]
    batch = run.setup.data.make_batch(rows)
    assert batch.targets[:, 0].numpy() == pytest.approx(run.setup.data.values[rows], rel=1e-6)
    with torch.no_grad():
        run.trainer.model.output.weight.zero_()
        run.trainer.model.output.bias.fill_(7.0)
    run.trainer.model.eval()
    _, predicted = predict(run.trainer.model, run.setup.data.make_batch, [rows], run.setup.data.scaler)
    assert (predicted == 7.0).all()
    run.close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("host"), "out of memory: host"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory: CUDA out of"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory: Default"),
        (KeyError("surprise"), "KeyError: 'surprise'"),
    ],
)
def test_the_actor_turns_a_failure_into_a_result_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    task = task_of(tmp_path, "cgcnn")
    config = {"task": asdict(task), "cpu": 1, "gpu": 0, "processes": 1, "passes": None}
    actor = TrialActor(config)
    assert actor.step()["epoch"] == 1

    def fail(self: TrialRun) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(TrialRun, "step", fail)
        result = actor.step()
    assert result["done"] is True
    assert result["failed"].startswith(reason)
    assert "Traceback" in (Path(task.folder) / "error.txt").read_text()
    # The same actor goes on with another trial.
    assert actor.reset_config({**config, "task": asdict(replace(task, folder=str(tmp_path / "next")))})
    assert actor.step()["epoch"] == 1
    actor.cleanup()


def test_an_actor_that_is_set_up_and_not_used_leaves_the_trial_alone(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn")
    run_to_end(task)
    task.checkpoint.unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    TrialActor({"task": asdict(task), "cpu": 1, "gpu": 0, "processes": 1, "passes": None}).cleanup()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_divergence_is_a_failure_of_the_trial_alone(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn")
    wild = replace(task, train_config={**task.train_config, "lr": 1e30, "optimizer": "sgd", "clip_norm": 0.0})
    actor = TrialActor({"task": asdict(wild), "cpu": 1, "gpu": 0, "processes": 1, "passes": None})
    results = [actor.step() for _ in range(1)]
    assert results[-1]["failed"].startswith("diverged: ")
    actor.cleanup()


def test_a_broken_store_is_a_failure_of_the_trial_alone(tmp_path: Path) -> None:
    task = task_of(tmp_path, "cgcnn", store=str(tmp_path / "nowhere"))
    actor = TrialActor({"task": asdict(task), "cpu": 1, "gpu": 0, "processes": 1, "passes": None})
    assert "nowhere" in actor.step()["failed"]
    actor.cleanup()


@pytest.mark.parametrize(("radius", "bound"), [(12.0, 1e-4), (2.0, None)])
def test_a_run_records_and_logs_what_its_range_leaves_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, radius: float, bound: float | None
) -> None:
    task = task_of(tmp_path, "crystalformer", epochs=1, folder=str(tmp_path / "final/.run-1"), run_id="run-1")
    task = replace(task, model_config={**task.model_config, "lattice_range": "radius", "radius": radius})
    job = FinalJob(task, "Crystalformer", "paper", "small", {"trial_id": "t0000", "val_mae": 0.1}, 1)
    with caplog.at_level("INFO", logger="suite.training_setup"):
        run_final(job)
    record = read_json(job.folder / "run.json")
    assert record["images_radius"] == radius
    if bound is None:
        assert record["truncation_bound"] is None
        assert "run-1: truncation_bound none" in caplog.text
    else:
        assert 0 < record["truncation_bound"] < bound
        assert f"run-1: truncation_bound {record['truncation_bound']:.4g}" in caplog.text
    assert f"run-1: images_radius {radius:g}" in caplog.text


def test_a_final_run_appears_whole_and_only_once(tmp_path: Path) -> None:
    task = task_of(tmp_path, "crystalformer", epochs=2, folder=str(tmp_path / "final/.run-1"), run_id="run-1")
    job = FinalJob(task, "Crystalformer", "paper", "small", {"trial_id": "t0000", "val_mae": 0.1}, 1)
    assert not job.finished
    run_final(job)
    assert job.finished
    assert sorted(path.name for path in job.folder.parent.iterdir()) == ["run-1"]
    record = read_json(job.folder / "run.json")
    predictions = pd.read_parquet(job.folder / "predictions.parquet")
    for part in ("val", "test"):
        rows = predictions[predictions["split"] == part]
        errors = (rows["y_pred"] - rows["y_true"]).abs()
        assert record["metrics"][part]["mae"] == pytest.approx(errors.mean(), rel=1e-12)
    assert record["kept"] == "averaged"
    assert record["metrics"]["val"]["mae"] != record["metrics"]["val_raw"]["mae"]
    last = read_curve(job.folder / "curve.csv")[-1]
    assert float(last["val_mae"]) == pytest.approx(record["metrics"]["val"]["mae"], rel=1e-6)
    assert float(last["val_mae_raw"]) == pytest.approx(record["metrics"]["val_raw"]["mae"], rel=1e-6)
    assert record["peak_memory_mb"] > 50
    assert record["predict_ms_per_crystal"] > 0


@pytest.mark.parametrize(
    "averaging", [{"swa_epochs": 0}, {"swa_epochs": 3}, {"swa_epochs": 0, "ema_decay": 0.9}]
)
@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_resumes_every_kind_of_averaging_exactly_and_has_a_bound(
    tmp_path: Path, model: str, averaging: dict
) -> None:
    task = task_of(tmp_path, model, folder=str(tmp_path / "whole"))
    task = replace(task, train_config={**task.train_config, **averaging})
    expected = run_to_end(task)
    for stop in (1, 2, 3):  # before, at and in the averaged epochs
        broken = replace(task, folder=str(tmp_path / f"broken{stop}"))
        first = TrialRun(broken)
        values = [first.step().val_mae for _ in range(stop - 1)]
        broken.asked.touch()
        values.append(first.step().val_mae)
        first.close()
        second = TrialRun(broken)
        assert second.trainer.epoch == stop
        values += [second.step().val_mae for _ in range(4 - stop + 1)][1:]
        second.close()
        assert values == expected
        weights = sum(p.numel() * p.element_size() for p in second.trainer.model.state_dict().values())
        parts = 3 if second.trainer.average is None else 4
        assert broken.checkpoint.stat().st_size < parts * weights + 60_000
