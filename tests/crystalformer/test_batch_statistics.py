"""Batch norm's running statistics of averaged weights: those of the average, not an average of others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from counting_model import CountingModel, counting_data
from scarce_memory import bounded_passes
from torch import Tensor, nn

from crystalformer.training import batch_statistics
from crystalformer.training.batch_statistics import estimate_statistics
from crystalformer.training.config import TrainConfig
from crystalformer.training.loop import Trainer, TrainingData
from crystalformer.training.passes import Passes

CONFIG = TrainConfig(epochs=4, batch_size=8, lr=0.02, swa_epochs=2)


@pytest.fixture
def data() -> TrainingData:
    return counting_data()


def trainer(data: TrainingData, config: TrainConfig = CONFIG) -> Trainer:
    torch.manual_seed(0)
    return Trainer(CountingModel(), data, config, seed=1)


def normalised(run: Trainer, model: nn.Module, batches: list[np.ndarray]) -> list[Tensor]:
    """What batch norm gets of each batch, in float64."""
    features = [model.features(run.data.make_batch(rows)) for rows in batches]
    return [model.hidden(each).detach().double() for each in features]


def assert_statistics(model: nn.Module, seen: list[Tensor]) -> None:
    mean, variance = (torch.stack([f(x) for x in seen]).mean(0) for f in (_mean, _variance))
    torch.testing.assert_close(model.norm.running_mean.double(), mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.norm.running_var.double(), variance, rtol=1e-5, atol=1e-6)


def _mean(x: Tensor) -> Tensor:
    return x.mean(0)


def _variance(x: Tensor) -> Tensor:
    return x.var(0)


@pytest.mark.parametrize("average", [{"swa_epochs": 2}, {"swa_epochs": 0, "ema_decay": 0.9}])
def test_after_each_epoch_the_average_has_the_statistics_of_its_own_weights(
    data: TrainingData, average: dict
) -> None:
    run = trainer(data, replace(CONFIG, **average))
    for _ in run:
        if run.average is not None:
            assert_statistics(run.kept_model, normalised(run, run.kept_model, run.order.epoch(run.epoch - 1)))


def test_the_last_steps_weights_keep_what_training_gave_them(data: TrainingData) -> None:
    steady = replace(CONFIG, schedule="constant")  # else the rate is held while weights are averaged
    run, plain = trainer(data, steady), trainer(data, replace(steady, swa_epochs=0))
    errors, same = [[record.val_mae_raw for record in each] for each in (run, plain)]
    assert errors == same
    torch.testing.assert_close(run.model.norm.running_mean, plain.model.norm.running_mean, rtol=0, atol=0)


def test_a_model_with_statistics_of_others_predicts_again(data: TrainingData) -> None:
    run = trainer(data)
    list(run)
    fitted, model = run.kept_model, CountingModel()
    model.load_state_dict(fitted.state_dict())
    model.norm.running_mean += 50
    model.norm.running_var *= 30
    assert run._validate(model) > 2 * run._validate(fitted)
    estimate_statistics(model, run.order.epoch(run.epoch - 1), data.make_batch, run._passes, "cpu")
    assert run._validate(model) == pytest.approx(run._validate(fitted), rel=1e-5)


@pytest.mark.parametrize("most", [2, 3])
def test_small_passes_see_the_same_crystals(data: TrainingData, most: int) -> None:
    run = trainer(data)
    batches = run.order.epoch(0)
    passes = Passes(most, data.sizes, "cpu")
    estimate_statistics(run.model, batches, data.make_batch, passes, "cpu")
    parts = [part for rows in batches for part in passes.parts(rows)]
    assert max(map(len, parts)) <= most
    assert sorted(np.concatenate(parts)) == sorted(np.concatenate(batches))
    assert_statistics(run.model, normalised(run, run.model, parts))


def test_after_a_lack_of_memory_it_begins_again_with_smaller_passes(data: TrainingData) -> None:
    run = trainer(data)
    seen = bounded_passes(run.model, holds=4)
    passes = Passes("auto", data.sizes, "cpu")
    batches = run.order.epoch(0)
    estimate_statistics(run.model, batches, data.make_batch, passes, "cpu")
    assert seen[:3] == [8, 4, 4]
    assert_statistics(
        run.model, normalised(run, run.model, [part for rows in batches for part in passes.parts(rows)])
    )
    with pytest.raises(torch.OutOfMemoryError):
        estimate_statistics(run.model, batches, data.make_batch, Passes(None, data.sizes, "cpu"), "cpu")


def test_no_more_crystals_than_are_enough(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_statistics, "ENOUGH", 10)
    run = trainer(data)
    seen = bounded_passes(run.model, holds=8)
    estimate_statistics(run.model, run.order.epoch(0), data.make_batch, run._passes, "cpu")
    assert seen == [8]


def test_without_batch_norm_there_is_no_pass(data: TrainingData) -> None:
    def unused(rows: np.ndarray) -> None:
        raise AssertionError("a pass over the crystals")

    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Linear(2, 1))
    estimate_statistics(model, [data.train], unused, Passes(None, data.sizes, "cpu"), "cpu")  # type: ignore[arg-type]
