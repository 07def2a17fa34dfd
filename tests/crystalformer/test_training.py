"""The training loop against hand-computed steps, and its resumption bit for bit."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from counting_model import CountingModel, counting_data
from torch import Tensor

from crystalformer.training.averaging import WeightAverage
from crystalformer.training.checkpoint import (
    CheckpointError,
    checkpoint_epoch,
    load_checkpoint,
    save_checkpoint,
)
from crystalformer.training.config import TrainConfig
from crystalformer.training.evaluate import predict
from crystalformer.training.loop import Diverged, Trainer, TrainingData
from crystalformer.training.optimizers import learning_rate, momentum, set_step

CONFIG = TrainConfig(epochs=6, batch_size=4, lr=0.01, swa_epochs=2)


@pytest.fixture
def data() -> TrainingData:
    return counting_data()


def trainer(data: TrainingData, config: TrainConfig = CONFIG, seed: int = 3) -> Trainer:
    torch.manual_seed(seed)
    return Trainer(CountingModel(), data, config, seed)


def test_training_learns(data: TrainingData) -> None:
    records = list(trainer(data, replace(CONFIG, epochs=60, swa_epochs=0)))
    assert [record.epoch for record in records] == list(range(1, 61))
    assert records[-1].train_mae < 0.7 * records[0].train_mae
    assert records[-1].val_mae < 0.5 * records[0].val_mae


def test_errors_are_in_the_targets_unit(data: TrainingData) -> None:
    run = trainer(data)
    record = run.run_epoch()
    rows, predicted = predict(run.model, data.make_batch, [data.val], data.scaler)
    assert record.val_mae == pytest.approx(np.abs(data.values[rows] - predicted[:, 0]).mean(), rel=1e-6)


def test_the_averaged_weights_are_the_mean_over_the_last_steps(data: TrainingData) -> None:
    run = trainer(data)
    seen: list[Tensor] = []
    step = run.optimizer.step

    def recording_step(*args: object) -> None:
        step()
        seen.append(run.model.out.weight.detach().clone())

    run.optimizer.step = recording_step  # type: ignore[method-assign,assignment]
    list(run)
    assert run.average is not None
    assert run.average.steps == 2 * run.steps_per_epoch
    mean = torch.stack(seen[-2 * run.steps_per_epoch :]).double().mean(0)
    torch.testing.assert_close(run.kept_model.out.weight.double(), mean, rtol=1e-5, atol=1e-7)


def test_the_exponential_average_follows_every_step(data: TrainingData) -> None:
    run = trainer(data, replace(CONFIG, swa_epochs=None, ema_decay=0.7))
    step = run.optimizer.step
    seen: list[Tensor] = []

    def recording_step(*args: object) -> None:
        step()
        seen.append(run.model.out.weight.detach().double().clone())

    run.optimizer.step = recording_step  # type: ignore[method-assign,assignment]
    records = list(run)
    expected = seen[0]
    for t, weight in enumerate(seen[1:], start=1):
        share = 1 - min(0.7, (1 + t) / (10 + t))
        expected = expected + share * (weight - expected)
    assert min(0.7, 2 / 11) < 0.7 < len(seen) / (9 + len(seen))  # both branches of the decay were used
    torch.testing.assert_close(run.kept_model.out.weight.double(), expected, rtol=1e-5, atol=1e-6)
    assert all(r.val_mae != r.val_mae_raw for r in records[1:])
    assert records[-1].lr == learning_rate(run.config, run.steps_per_epoch * 6 - 1, run.steps_per_epoch)
    assert run.config.averaged_epochs == 0  # so that the rate goes on falling to the end


def test_validation_is_of_the_weights_that_are_kept(data: TrainingData) -> None:
    run = trainer(data)
    records = list(run)
    assert all(r.val_mae == r.val_mae_raw for r in records[:4])
    rows, predicted = predict(run.kept_model, data.make_batch, [data.val], data.scaler)
    assert records[-1].val_mae == pytest.approx(np.abs(data.values[rows] - predicted[:, 0]).mean(), rel=1e-6)
    assert records[-1].val_mae != records[-1].val_mae_raw


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_buffers_are_not_averaged(ema_decay: float) -> None:
    model = CountingModel()
    average = WeightAverage(model, ema_decay)
    for _ in range(2):
        model.norm.num_batches_tracked += 4
        model.norm.running_mean += 1
        average.update(model)
    assert int(average.module.norm.num_batches_tracked) == 8
    torch.testing.assert_close(average.module.norm.running_mean, torch.full((8,), 2.0))


def test_two_runs_give_the_same_bits(data: TrainingData) -> None:
    first, second = list(trainer(data)), list(trainer(data))
    assert [r.val_mae for r in first] == [r.val_mae for r in second]
    assert [r.val_mae for r in first] != [r.val_mae for r in trainer(data, seed=4)]


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("stop_after", [2, 5])
@pytest.mark.parametrize("average", [{}, {"swa_epochs": 0, "ema_decay": 0.8}])
def test_a_resumed_run_equals_the_uninterrupted_one(
    data: TrainingData, tmp_path: Path, optimizer: str, stop_after: int, average: dict
) -> None:
    config = replace(CONFIG, optimizer=optimizer, **average)
    whole = trainer(data, config)
    expected = [record.val_mae for record in whole]

    run = trainer(data, config)
    before = [run.run_epoch().val_mae for _ in range(stop_after)]
    save_checkpoint(tmp_path / "c", run, {"model": "x"})
    assert checkpoint_epoch(tmp_path / "c") == stop_after

    resumed = trainer(data, config, seed=99)  # other weights, to be overwritten
    resumed.order = run.order
    record = load_checkpoint(tmp_path / "c", resumed, {"model": "x"})
    assert record == run.last_record
    assert before + [record.val_mae for record in resumed] == expected
    for name, tensor in whole.kept_model.state_dict().items():
        assert torch.equal(tensor, resumed.kept_model.state_dict()[name]), name


def test_a_checkpoint_of_other_settings_is_refused(data: TrainingData, tmp_path: Path) -> None:
    run = trainer(data)
    run.run_epoch()
    save_checkpoint(tmp_path / "c", run, {"model": "x", "seed": 1})
    with pytest.raises(CheckpointError, match="differs in seed"):
        load_checkpoint(tmp_path / "c", run, {"model": "x", "seed": 2})


@pytest.mark.parametrize("damage", ["empty", "truncated", "text"])
def test_a_damaged_checkpoint_is_refused_and_counts_as_none(
    data: TrainingData, tmp_path: Path, damage: str
) -> None:
    run, path = trainer(data), tmp_path / "c"
    run.run_epoch()
    save_checkpoint(path, run, {})
    whole = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"not a checkpoint"}[damage]
    )
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(path, run, {})
    assert checkpoint_epoch(path) == 0


def test_writing_a_checkpoint_leaves_nothing_else(data: TrainingData, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", trainer(data), {})
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_divergence_is_an_error_of_its_own(data: TrainingData) -> None:
    run = trainer(data)
    with torch.no_grad():
        run.model.out.weight.fill_(math.nan)
    with pytest.raises(Diverged, match="epoch 1"):
        run.run_epoch()


def test_a_cycled_momentum_reaches_the_optimiser(data: TrainingData) -> None:
    run = trainer(data, replace(CONFIG, schedule="one_cycle", swa_epochs=0))
    seen = []
    run.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append([group["betas"] for group in optimizer.param_groups])
    )
    for _ in run:
        pass
    expected = [momentum(run.config, t, 5) for t in range(30)]
    assert seen == [[(beta1, 0.98)] * 2 for beta1 in expected]
    assert min(expected) == pytest.approx(0.85)


def test_gradients_are_clipped(data: TrainingData) -> None:
    run = trainer(data, replace(CONFIG, optimizer="sgd", beta1=0.0, lr=1.0, clip_norm=1e-3, weight_decay=0.0))
    before = torch.cat([p.detach().flatten().clone() for p in run.model.parameters()])
    set_step(run.optimizer, lr=1.0, momentum=0.0)
    run._step(np.arange(4))
    after = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    assert (after - before).norm().item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 0, "epochs: expected at least 1, got 0"),
        ("micro_batch", 0, "micro_batch: expected auto or at least 1 crystal, got 0"),
        ("lr", 0.0, "lr: expected above 0, got 0.0"),
        ("loss", "l2", "loss: expected one of l1, mse, smooth_l1, got 'l2'"),
        ("optimizer", "lion", "optimizer: expected one of adamw, adam, sgd, got 'lion'"),
        ("swa_epochs", 501, "swa_epochs: expected from 0 to the 500 epochs of the run, got 501"),
        ("beta2", 1.0, r"beta2: expected in \[0, 1\), got 1.0"),
        ("ema_decay", 1.0, r"ema_decay: expected in \[0, 1\), got 1.0"),
    ],
)
def test_impossible_settings_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TrainConfig(), **{field: value})


def test_one_kind_of_average_at_a_time() -> None:
    with pytest.raises(
        ValueError, match=r"ema_decay: expected 0 beside an average of 5 epochs \(swa_epochs\)"
    ):
        TrainConfig(swa_epochs=5, ema_decay=0.9)
    assert TrainConfig(epochs=20, ema_decay=0.9).averaged_epochs == 0
    assert TrainConfig(epochs=20, ema_decay=0.9).averages(0)
    swa = TrainConfig(epochs=20)
    assert [swa.averages(epoch) for epoch in (0, 17, 18, 19)] == [False, False, True, True]


def test_averaging_defaults_to_a_tenth() -> None:
    assert TrainConfig(epochs=20).averaged_epochs == 2
    assert TrainConfig(epochs=9).averaged_epochs == 0
    assert TrainConfig(epochs=20, swa_epochs=0).averaged_epochs == 0
