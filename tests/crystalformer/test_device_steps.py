"""Training on crystals that stay on the device: the usual loop's numbers, and nothing to wait for."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from sync_guard import NoWaiting, WaitsForDevice

from crystalformer.data.capacity import Capacity
from crystalformer.data.device_batches import DeviceBatches
from crystalformer.data.targets import TargetScaler
from crystalformer.model.config import CrystalformerConfig
from crystalformer.model.crystalformer import Crystalformer
from crystalformer.training.checkpoint import load_checkpoint, save_checkpoint
from crystalformer.training.config import TrainConfig
from crystalformer.training.device_steps import resident
from crystalformer.training.loop import Diverged, Trainer, TrainingData

MODEL = CrystalformerConfig(
    num_layers=2, width=16, heads=2, ff_width=16, value_basis=8, lattice_range="radius", radius=4.0
)
CONFIG = TrainConfig(epochs=4, batch_size=3, lr=0.01, swa_epochs=2)


@pytest.fixture
def data(toy_batches):
    values = 3 + 2 * toy_batches.scaled_targets[:, 0]
    scaler = TargetScaler.fit(values[:8][:, None], "eV")
    toy_batches.scaled_targets = scaler.scale(values[:, None])
    return TrainingData(toy_batches, np.arange(8), np.arange(8, 12), values, toy_batches.store.sizes, scaler)


def trainer(data, config=CONFIG, model=MODEL, seed=3, **settings):
    torch.manual_seed(seed)
    built = Crystalformer(model)
    built.calibrate(data.make_batch(data.train[:4]))
    return Trainer(built, data, config, seed, **settings)


def loss_and_gradients(model, batch):
    model.zero_grad()
    prediction = model(batch)[: batch.real]
    (prediction - batch.targets[: batch.real]).abs().mean().backward()
    return prediction.detach(), {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("kernel", ["cpu", "reference"])
@pytest.mark.parametrize("value_basis", [8, 0])
def test_padding_changes_neither_predictions_nor_gradients(toy_batches, kernel, value_basis):
    torch.manual_seed(0)
    model = Crystalformer(replace(MODEL, kernel=kernel, value_basis=value_basis)).double()
    rows = np.array([2, 11, 5])
    plain = toy_batches(rows).to("cpu", torch.float64)
    model.calibrate(plain)
    expected, wanted = loss_and_gradients(model, plain)
    device = DeviceBatches(toy_batches, np.arange(12), "cpu")
    atoms, images = device.need(rows)
    for capacity in (Capacity(atoms + 1, images + 1), Capacity(atoms + 9, images + 70)):
        padded = device.gather(device.upload(rows), capacity).to("cpu", torch.float64)
        found, gradients = loss_and_gradients(model, padded)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, wanted[name], rtol=1e-10, atol=1e-13, msg=name)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "adam", "swa_epochs": 0, "ema_decay": 0.8, "loss": "mse"},
        {"optimizer": "sgd", "schedule": "constant", "clip_norm": 0.0, "lr": 1e-3},
        {"batch_size": 100},
    ],
    ids=str,
)
def test_it_trains_as_the_usual_loop_does(data, settings):
    config = replace(CONFIG, **settings)
    usual, here = trainer(data, config, on_device=False), trainer(data, config, on_device=True)
    for expected, found in zip(usual, here, strict=True):
        for name in ("epoch", "train_mae", "val_mae", "val_mae_raw", "lr", "grad_norm"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=2e-5), name
    for name, weights in usual.kept_model.state_dict().items():
        if name.endswith("key.bias"):
            continue  # cancels in the softmax: its gradient is rounding, which Adam divides by its size
        torch.testing.assert_close(here.kept_model.state_dict()[name], weights, rtol=2e-4, atol=2e-5)
    assert here.on_device
    assert not usual.on_device


def test_two_runs_give_the_same_bits(data):
    first, second = (list(trainer(data, on_device=True)) for _ in range(2))
    assert [r.val_mae for r in first] == [r.val_mae for r in second]


def test_a_resumed_run_equals_the_uninterrupted_one(data, tmp_path):
    expected = [record.val_mae for record in trainer(data, on_device=True)]
    run = trainer(data, on_device=True)
    before = [run.run_epoch().val_mae for _ in range(2)]
    save_checkpoint(tmp_path / "c", run, {})
    resumed = trainer(data, seed=3, on_device=True)
    resumed.run_epoch()  # graphs of this state must not outlive it
    load_checkpoint(tmp_path / "c", resumed, {})
    assert before + [record.val_mae for record in resumed] == expected


def stand_in(q, k, v, a, images):
    """Something like attention that any device can compute; the kernels have tests of their own."""
    query, order, _ = images.by_key
    p = torch.exp(a[query] * images.distance[order].square()[:, None])
    mixed = torch.zeros_like(v).index_add(0, query, p[..., None] * (v + q * k)[images.key])
    return mixed, mixed.repeat(1, 1, 2)[..., : images.basis.size]


@pytest.mark.parametrize("settings", [{}, {"optimizer": "sgd"}, {"swa_epochs": 0, "ema_decay": 0.9}], ids=str)
def test_the_host_waits_for_nothing_within_a_step(data, settings):
    run = trainer(data, replace(CONFIG, **settings), on_device=True)
    for block in run.model.blocks:
        block.attention.attend = stand_in
    list(run)
    steps = run._device_steps
    steps.places.copy_(torch.arange(3))
    capacity = steps.ladder.holding(*steps.batches.need(np.arange(3)))
    before = run.model.embedding.weight.detach().clone()
    with NoWaiting() as guard:
        steps.step(capacity)
        run._take_average()
    assert guard.operations > 100
    assert not torch.equal(before, run.model.embedding.weight)


def test_that_guard_can_fail(data):
    model, batch = trainer(data).model, data.make_batch(data.train[:3])
    with pytest.raises(WaitsForDevice), NoWaiting():
        model(batch)  # looks at the crystals
    for waits in (
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: torch.repeat_interleave(x.long()),
        lambda x: torch.tensor([1.0]),
        lambda x: x.nonzero(),
        lambda x: bool((x > 0).all()),
    ):
        with pytest.raises(WaitsForDevice), NoWaiting():
            waits(torch.ones(3))


def test_divergence_is_noticed(data):
    run = trainer(data, on_device=True)
    with torch.no_grad():
        run.model.head[2].weight.fill_(torch.nan)
    with pytest.raises(Diverged, match="epoch 1"):
        run.run_epoch()


def test_crystals_are_checked_before_training(data):
    torch.manual_seed(0)
    model = Crystalformer(replace(MODEL, elements=10))
    with pytest.raises(RuntimeError, match="no statistics"):
        resident(data.make_batch, model, data.train, torch.device("cpu"))
    for block in model.blocks:
        block.attention.decay.mean.fill_(0)
        block.attention.decay.std.fill_(1)
    with pytest.raises(ValueError, match="expected atomic numbers Z from 1 to 10"):
        resident(data.make_batch, model, data.train, torch.device("cpu"))


@pytest.mark.parametrize(
    ("change", "possible"),
    [
        ({}, True),
        ({"kernel": "reference"}, False),
        ({"domain": "real-reci"}, False),
        ({"frames": "max"}, False),
        ({"lattice_range": "adaptive"}, False),
        ({"lattice_range": "tolerance"}, True),
    ],
    ids=str,
)
def test_models_that_need_the_host_keep_the_usual_path(data, change, possible):
    model = Crystalformer(replace(MODEL, **change))
    assert model.needs_no_host == possible
    if not possible:
        assert resident(data.make_batch, model, data.train, torch.device("cpu")) is None
        run = Trainer(model, data, CONFIG, 0, on_device=True)
        model.calibrate(data.make_batch(data.train[:4]))
        run.run_epoch()
        assert not run.on_device


@pytest.fixture
def graphs(monkeypatch):
    """CUDA graphs that remember what to do instead of having recorded it."""
    made = []

    class Graph:
        def __init__(self):
            self.replays = 0
            made.append(self)

        def pool(self):
            return "pool"

        def replay(self):
            self.replays += 1
            self.step()

    @contextmanager
    def capture(graph, pool=None, stream=None):
        graph.shared = pool
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    return made


def captured_trainer(data, monkeypatch):
    """A trainer that believes it could capture graphs: capturing does nothing, replaying does the step."""
    run = trainer(data, on_device=True)
    run._move_data()
    steps = run._device_steps
    steps._captures = True
    step, capturing = steps.step, []

    def once(capacity):
        if capturing:
            steps_of[capturing[-1]] = capacity
        else:
            step(capacity)

    steps_of = {}
    capture = steps._capture

    def remembering(capacity):
        capturing.append(capacity)
        try:
            done = capture(capacity)
        finally:
            capturing.pop()
        if done:
            steps.graphs[capacity].step = lambda: step(capacity)
        return done

    monkeypatch.setattr(steps, "step", once)
    monkeypatch.setattr(steps, "_capture", remembering)
    return run


def test_a_step_is_captured_once_for_each_shape_and_then_replayed(data, graphs, monkeypatch):
    expected = [record.val_mae for record in trainer(data, on_device=True)]
    run = captured_trainer(data, monkeypatch)
    assert [record.val_mae for record in run] == expected
    steps = run._device_steps
    assert len(graphs) == len(steps.graphs) >= 1
    assert graphs[0].shared is None
    assert all(graph.shared == "pool" for graph in graphs[1:])
    eager = len(steps._met)
    assert sum(graph.replays for graph in graphs) == 4 * run.steps_per_epoch - eager


def test_what_cannot_be_captured_is_done_step_by_step(data, monkeypatch):
    @contextmanager
    def refusing(*_, **__):
        raise RuntimeError("operation not permitted when stream is capturing")
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", refusing)
    expected = [record.val_mae for record in trainer(data, on_device=True)]
    run = captured_trainer(data, monkeypatch)
    with pytest.warns(UserWarning, match="not captured as CUDA graphs, but slower: operation not permitted"):
        assert [record.val_mae for record in run] == expected
