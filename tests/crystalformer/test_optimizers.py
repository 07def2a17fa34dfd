"""Learning rate, momentum and weight decay against PyTorch and the published schedules."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from crystalformer.training.config import TrainConfig
from crystalformer.training.optimizers import build_optimizer, learning_rate, momentum, set_step


@pytest.mark.parametrize(("epochs", "warmup"), [(3, 0.3), (2, 0.05), (1, 0.5)])
@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_one_cycle_is_that_of_pytorch(epochs, warmup, optimizer) -> None:
    config = TrainConfig(epochs=epochs, lr=2e-3, schedule="one_cycle", warmup=warmup, swa_epochs=0)
    settings = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    theirs = optimizer([nn.Parameter(torch.zeros(1))], lr=1.0, **settings)
    ours = optimizer([nn.Parameter(torch.zeros(1))], lr=1.0, **settings)
    cycle = torch.optim.lr_scheduler.OneCycleLR(theirs, 2e-3, total_steps=7 * epochs, pct_start=warmup)
    for step in range(7 * epochs):
        set_step(ours, learning_rate(config, step, 7), momentum(config, step, 7))
        (group,), (expected,) = ours.param_groups, theirs.param_groups
        assert group["lr"] == pytest.approx(expected["lr"], rel=1e-9)
        for name in ("momentum", "betas"):
            if name in expected:
                assert group[name] == pytest.approx(expected[name], rel=1e-12)
        theirs.step()
        if step < 7 * epochs - 1:
            cycle.step()


def test_momentum_stays_unless_it_is_cycled() -> None:
    cycled = TrainConfig(epochs=10, schedule="one_cycle", swa_epochs=0)
    still = TrainConfig(epochs=10, schedule="one_cycle", swa_epochs=0, beta1=0.7, cycle_momentum=False)
    other = TrainConfig(epochs=10, schedule="linear", swa_epochs=0, beta1=0.7)
    assert momentum(cycled, 11, 4) == pytest.approx(0.85)
    assert {momentum(config, t, 4) for config in (still, other) for t in range(40)} == {0.7}


def test_momentum_is_held_with_the_rate_while_weights_are_averaged() -> None:
    config = TrainConfig(epochs=10, schedule="one_cycle", swa_epochs=4)
    held = momentum(config, 6 * 4, 4)
    assert 0.85 < held < 0.95
    assert {momentum(config, t, 4) for t in range(6 * 4, 40)} == {held}


def test_other_schedules_reach_their_rates() -> None:
    linear = TrainConfig(epochs=10, lr=5e-4, lr_end=1e-5, schedule="linear", swa_epochs=0)
    assert learning_rate(linear, 0, 4) == 5e-4
    assert learning_rate(linear, 20, 4) == pytest.approx((5e-4 + 1e-5) / 2)
    assert learning_rate(linear, 40, 4) == pytest.approx(1e-5)
    step = TrainConfig(epochs=10, lr=5e-3, schedule="step", milestone=3, step_factor=0.3, swa_epochs=0)
    assert [learning_rate(step, t, 4) for t in (0, 11, 12, 39)] == pytest.approx([5e-3, 5e-3, 1.5e-3, 1.5e-3])
    never = TrainConfig(epochs=10, lr=5e-3, schedule="step", swa_epochs=0)
    assert learning_rate(never, 39, 4) == 5e-3


def test_learning_rate_follows_the_published_schedule() -> None:
    config = TrainConfig(epochs=500, lr=5e-4, swa_epochs=50)
    assert learning_rate(config, 0, 468) == 5e-4
    assert learning_rate(config, 4000, 468) == pytest.approx(5e-4 / math.sqrt(2))
    # Held during the averaged epochs; the value for MP (468 steps an epoch) is 6.8e-5.
    held = learning_rate(config, 450 * 468, 468)
    assert held == pytest.approx(6.8e-5, rel=0.01)
    assert learning_rate(config, 499 * 468, 468) == held


class OwnNorm(nn.Module):
    """A normalisation layer that is none of PyTorch's."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))


class Decayed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 2)
        self.stack = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2), nn.LayerNorm(2))
        self.own = OwnNorm()


@pytest.mark.parametrize("decay_norms", [True, False])
def test_biases_are_not_decayed_and_norms_as_asked(decay_norms: bool) -> None:
    model = Decayed()
    groups = build_optimizer(model, TrainConfig(weight_decay=0.1, decay_norms=decay_norms)).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    norm = 0.1 if decay_norms else 0.0
    assert {name: decays[id(p)] for name, p in model.named_parameters()} == {
        "hidden.weight": 0.1,
        "hidden.bias": 0.0,
        "stack.0.weight": norm,
        "stack.0.bias": 0.0,
        "stack.1.weight": 0.1,
        "stack.1.bias": 0.0,
        "stack.2.weight": norm,
        "stack.2.bias": 0.0,
        "own.scale": norm,
    }


def test_a_norm_by_itself_is_one_too() -> None:
    (group,) = build_optimizer(nn.LayerNorm(3), TrainConfig(decay_norms=False)).param_groups
    assert group["weight_decay"] == 0.0


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_steps_and_state_are_those_of_pytorch(name: str) -> None:
    """Bit for bit, also where one goes on from the other's state."""
    config = TrainConfig(optimizer=name, lr=0.01, weight_decay=0.1)  # type: ignore[arg-type]
    models, optimizers = [nn.Linear(4, 3) for _ in range(2)], []
    models[1].load_state_dict(models[0].state_dict())
    optimizers.append(build_optimizer(models[0], config))
    theirs = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name]
    settings = {"momentum": config.beta1} if name == "sgd" else {"betas": (config.beta1, config.beta2)}
    groups = [
        {"params": [models[1].weight], "weight_decay": 0.1},
        {"params": [models[1].bias], "weight_decay": 0.0},
    ]
    optimizers.append(theirs(groups, lr=0.01, fused=True, **settings))
    for step in range(6):
        x = torch.randn(8, 4)
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        for ours, expected in zip(models[0].parameters(), models[1].parameters(), strict=True):
            assert torch.equal(ours, expected)
        if step == 2:
            states = [optimizer.state_dict() for optimizer in optimizers]
            for optimizer, state in zip(optimizers, states[::-1], strict=True):
                optimizer.load_state_dict(state)


TRAINS = """
import sys
from pathlib import Path
from counting_model import CountingModel, counting_data
from crystalformer.training.checkpoint import load_checkpoint, save_checkpoint
from crystalformer.training.config import TrainConfig
from crystalformer.training.loop import Trainer
for name in ("adamw", "adam", "sgd"):
    config = TrainConfig(epochs=2, optimizer=name, swa_epochs=1)
    trainer = Trainer(CountingModel(), counting_data(), config, seed=0)
    trainer.run_epoch()
    save_checkpoint(Path(sys.argv[1]), trainer, {})
    load_checkpoint(Path(sys.argv[1]), trainer, {})
    trainer.run_epoch()
print(*(name for name in sys.modules if name.startswith("torch._dynamo")))
"""


def test_training_does_not_import_the_compiler(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", TRAINS, str(tmp_path / "checkpoint.pt")],
        env={"PYTHONPATH": f"{root}:{root / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
