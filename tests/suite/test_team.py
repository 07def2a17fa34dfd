"""Several processes that train one run: the weights of one, every crystal once, and a process lost."""

import os
import signal
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from trial_tasks import task_of

from crystalformer.data.parts import balanced_parts
from crystalformer.training.batch_statistics import estimate_statistics
from crystalformer.training.evaluate import predict
from crystalformer.training.passes import Passes
from crystalformer.training.ranks import LostRank
from suite.ray_driver.actor import TrialActor
from suite.team import Place
from suite.trial import TrialRun
from suite.trial_task import TrialTask

EXACT = {"optimizer": "sgd", "lr": 0.02, "beta1": 0.9, "swa_epochs": 1}  # Adam would enlarge rounding


def task(root: Path, model: str = "crystalformer", **changes: object) -> TrialTask:
    made = task_of(root, model, epochs=3)
    return replace(made, train_config={**made.train_config, **EXACT}, **changes)  # type: ignore[arg-type]


def trained(task: TrialTask, place: Place = Place()) -> tuple[TrialRun, list[float]]:  # noqa: B008
    run = TrialRun(task, place)
    try:
        return run, [run.step().val_mae for _ in range(3)]
    finally:
        run.close()


def weights(run: TrialRun) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.trainer.kept_model.parameters()])


def others() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "suite.team" in " ".join(child.cmdline())]


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    alone, errors = trained(task(tmp_path, folder=str(tmp_path / "alone")))
    together, same = trained(task(tmp_path, folder=str(tmp_path / "together")), Place(processes=2))
    assert same == pytest.approx(errors, rel=1e-5)
    torch.testing.assert_close(weights(together), weights(alone), rtol=1e-4, atol=1e-6)
    columns = ["epoch", "train_mae", "val_mae_raw", "grad_norm", "lr"]
    curves = [pd.read_csv(tmp_path / name / "curve.csv")[columns] for name in ("alone", "together")]
    pd.testing.assert_frame_equal(*curves, rtol=1e-4)
    assert not others()
    assert not list((tmp_path / "together").glob("rank*.log"))


def test_every_crystal_of_a_batch_is_in_one_process(tmp_path: Path) -> None:
    run = TrialRun(task(tmp_path))
    data, order = run.setup.data, run.trainer.order.epoch(0)
    for size in (2, 3):
        dealt = [rows[part] for rows in order for part in balanced_parts(data.sizes[rows], size)]
        assert sorted(np.concatenate(dealt).tolist()) == sorted(np.concatenate(order).tolist())
    run.close()


def test_a_run_goes_on_from_its_checkpoint_after_a_process_was_lost(tmp_path: Path) -> None:
    whole = task(tmp_path, folder=str(tmp_path / "whole"))
    _, errors = trained(whole)
    begun = task(tmp_path)
    run = TrialRun(begun, Place(processes=2))
    first = run.step().val_mae
    [other] = others()
    other.send_signal(signal.SIGKILL)
    with pytest.raises(LostRank, match="another process of the model is gone"):
        run.step()
    run.close()
    again, rest = trained(begun, Place(processes=2))
    assert [first, *rest[1:]] == pytest.approx(errors, rel=1e-5)
    assert again.trainer.epoch == 3


def test_a_lost_process_is_a_lost_worker_for_tune(tmp_path: Path) -> None:
    resources = {"cpu": 2, "gpu": 0, "processes": 2, "passes": None}
    actor = TrialActor({"task": asdict(task(tmp_path)), **resources})
    assert actor.step()["epoch"] == 1
    os.kill(others()[0].pid, signal.SIGKILL)
    with pytest.raises(LostRank):
        actor.step()
    actor.cleanup()


def test_an_error_in_one_process_is_told_by_all(tmp_path: Path) -> None:
    run = TrialRun(task(tmp_path), Place(processes=2))

    def short(batch: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    run.trainer.model.forward = short
    with pytest.raises(torch.OutOfMemoryError):
        run.step()
    [other] = others()
    other.wait(timeout=60)
    said = (Path(run.task.folder) / "rank1.log").read_text()
    assert "RankFailed: out of memory in another process of the model" in said
    run.close()


def test_with_batch_normalisation_all_processes_keep_the_same_statistics(tmp_path: Path) -> None:
    run, errors = trained(task(tmp_path, "cgcnn"), Place(processes=2))
    data = run.setup.data  # of the validation crystals, half were predicted with the other's statistics
    rows, mine = predict(run.trainer.kept_model, data.make_batch, [data.val], data.scaler)
    assert errors[-1] == pytest.approx(np.abs(data.values[rows] - mine[:, 0]).mean(), rel=1e-5)
    together = {name: value.clone() for name, value in run.trainer.kept_model.named_buffers()}
    seen, passes = run.trainer.order.epoch(2), Passes(None, data.sizes, "cpu")
    assert len(seen) > 1  # so that each process had some of the batches
    estimate_statistics(run.trainer.kept_model, seen, data.make_batch, passes, "cpu")
    for name, alone in run.trainer.kept_model.named_buffers():
        if "running" in name:
            torch.testing.assert_close(together[name], alone, rtol=1e-5, atol=1e-6)
