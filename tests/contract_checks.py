"""What every model of the registry must do, as functions of a `Subject`: a model with its published settings.

All of them go the way of a trial: array store -> `entry.batches` -> `entry.build` -> `entry.calibrate`.
Predictions are compared in float64, with positions and distances as batches have them, in float32.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import FrozenInstanceError, asdict, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from contract_crystals import CASES, DIFFERENT, SIZES, TIES, UNKNOWN, rows_of
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from crystalformer.data.array_store import ArrayStore
from crystalformer.data.batch import CrystalBatch
from crystalformer.entry import ModelEntry
from crystalformer.training.config import TrainConfig
from suite.registry_table import parameter_count

TOLERANCE = 3e-5  # of two ways to write a crystal, in units of the spread of predictions
STEPS = 300  # of AdamW, within which eight crystals are learnt
LEARNT = 0.1  # the part of the first loss that may be left


class Subject:
    """A model under test.

    Attributes:
        model: in float64 and evaluation mode; no weight or statistic has the value it was initialised with.
        predictions: case -> (crystals,) predictions.
    """

    def __init__(self, entry: ModelEntry, store: ArrayStore, cache: Path) -> None:
        self.entry, self.store, self.config = entry, store, entry.config()
        targets = store.targets["energy"][:, None]
        self.batches = entry.batches(store, targets, self.config, cache)

    def batch(
        self, case: str = "given", dtype: torch.dtype = torch.float64, rows: slice = slice(None)
    ) -> CrystalBatch:
        return self.batches(rows_of(self.store, case)[rows]).to("cpu", dtype)

    def built(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A model as a trial begins with it."""
        torch.manual_seed(seed)
        model = self.entry.build(self.config).to(dtype)
        self.entry.calibrate(model, self.batch(dtype=dtype))
        return model

    @cached_property
    def model(self) -> nn.Module:
        model = self.built(dtype=torch.float64)
        with torch.no_grad():
            for parameter in model.parameters():
                size = parameter.abs().mean().item() or 0.1
                parameter += 0.2 * size * torch.randn_like(parameter)
        batch = self.batch()
        self.entry.calibrate(model, batch)
        model.train()
        for _ in range(6 if any("running" in name for name in model.state_dict()) else 0):
            model(batch)
        return model.eval()

    @cached_property
    def predictions(self) -> dict[str, Tensor]:
        with torch.no_grad():
            return {case: self.model(self.batch(case)).flatten() for case in CASES}

    def departure(self, case: str) -> float:
        """Largest difference from the predictions for the crystals as given, in units of their spread."""
        given = self.predictions["given" + TIES * case.endswith(TIES)]
        spread = given.std().item()
        assert spread > 1e-6 * given.abs().max().item(), "the predictions are all the same"
        return (self.predictions[case] - given).abs().max().item() / spread


def squared_error(model: nn.Module, batch: CrystalBatch) -> Tensor:
    return (model(batch) - batch.targets).square().mean()


# --- functions of the crystal ------------------------------------------------------------------------------


def predicts_the_same(subject: Subject, case: str) -> None:
    """However a crystal is written."""
    departure = subject.departure(case)
    assert departure <= TOLERANCE, f"{case}: predictions change by {departure:.2g} of their spread"


def sees_distances_and_elements(subject: Subject) -> None:
    """Else the symmetries would be easily had."""
    for way in DIFFERENT:
        assert subject.departure(way) > 1e-3, way


def predicts_each_crystal_alone(subject: Subject) -> None:
    """A batch changes nothing for its crystals."""
    with torch.no_grad():
        alone = [subject.model(subject.batch(rows=slice(row, row + 1))) for row in range(len(SIZES))]
    together = subject.predictions["given"]
    spread = together.std().item()
    torch.testing.assert_close(torch.cat(alone).flatten(), together, rtol=0, atol=1e-8 * spread)


# --- training ----------------------------------------------------------------------------------------------


def gradients(subject: Subject) -> dict[str, float]:
    """Parameter -> the largest entry of its gradient, in units of the largest of all; not finite: NaN."""
    model = subject.model
    model.zero_grad()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    squared_error(model.train(), subject.batch()).backward()
    model.eval().load_state_dict(state)
    sizes = {
        name: 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
        for name, parameter in model.named_parameters()
    }
    return {name: size / max(sizes.values()) for name, size in sizes.items()}


def trains_every_parameter(subject: Subject, without: Collection[str] = ()) -> None:
    """Finite gradients, and zero for the parameters `without` one alone, but for rounding."""
    for name, size in gradients(subject).items():
        assert np.isfinite(size), f"{name}: its gradient is not finite"
        if name in without:
            assert size < 1e-9, f"{name}: has a gradient"
        else:
            assert size > 1e-12, f"{name}: has no gradient"


def trains_to_the_same_bits(subject: Subject) -> None:
    def run() -> list[Tensor]:
        model = subject.built(seed=3).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        batch, losses = subject.batch(dtype=torch.float32), []
        for _ in range(2):
            optimizer.zero_grad()
            losses.append(squared_error(model, batch))
            losses[-1].backward()
            optimizer.step()
        return [*losses, *model.state_dict().values()]

    assert all(torch.equal(first, second) for first, second in zip(run(), run(), strict=True))


def takes_the_statistics_of_a_pass(subject: Subject) -> None:
    """Where it has batch norm: evaluated as in training, however often it saw the batch before."""
    model = subject.built(seed=2, dtype=torch.float64)
    if not any("running" in name for name in model.state_dict()):
        return
    many = np.tile(rows_of(subject.store, "given"), 4)  # variances are divided by one row less in evaluation
    batch = subject.batches(many).to("cpu", torch.float64)
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    with torch.no_grad():
        trained = model.train()(batch).flatten()
        update_bn([batch], model)
        once = model.eval()(batch).flatten()
        update_bn([batch] * 3, model)
        torch.testing.assert_close(model.eval()(batch).flatten(), once)
    departure = ((once - trained).abs().max() / trained.std()).item()
    assert departure < 0.25, f"evaluated, predictions change by {departure:.2g} of their spread"


def keeps_its_state(subject: Subject) -> None:
    """What is stored of a model, put into another, gives its predictions to the last bit."""
    stored = safetensors.torch.save({k: v.contiguous() for k, v in subject.model.state_dict().items()})
    torch.manual_seed(9)
    other = subject.entry.build(subject.config).double().eval()
    other.load_state_dict(safetensors.torch.load(stored))
    with torch.no_grad():
        again = other(subject.batch()).flatten()
    assert torch.equal(again, subject.predictions["given"])


def learns_eight_crystals(subject: Subject) -> None:
    model, batch = subject.built(seed=1).train(), subject.batch(dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    losses: list[float] = []
    while len(losses) < STEPS and (not losses or losses[-1] > LEARNT * losses[0]):
        loss = squared_error(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] <= LEARNT * losses[0], f"after {STEPS} steps, {losses[-1] / losses[0]:.0%} is left"


# --- the entry ---------------------------------------------------------------------------------------------


def has_the_published_parameters(subject: Subject) -> None:
    entry = subject.entry
    assert parameter_count(subject.model) == entry.published_parameters
    for variant in entry.variants.values():
        model = entry.build(entry.config(**variant.settings))
        assert parameter_count(model) == variant.published_parameters


def has_settings_that_can_be_recorded(subject: Subject) -> None:
    """Frozen, and the same after a way through JSON, as tasks and records take it."""
    recipe = subject.entry.published_recipe
    assert type(recipe) is TrainConfig
    config: Any
    for config in (subject.config, recipe):
        with pytest.raises(FrozenInstanceError):
            setattr(config, fields(config)[0].name, None)
        assert type(config)(**json.loads(json.dumps(asdict(config)))) == config


def counts_the_crystals_it_cannot_represent(subject: Subject) -> None:
    """They are known when the data are opened, each with the reason; no other is refused."""
    heavy = len(subject.store) - 1
    assert set(subject.batches.failures) <= {heavy}
    if heavy not in subject.batches.failures:
        assert subject.model(subject.batches(np.array([heavy])).to("cpu", torch.float64)).isfinite().all()
        return
    assert f"got Z = {UNKNOWN}" in subject.batches.failures[heavy]
    with pytest.raises(ValueError, match=f"got Z = {UNKNOWN}"):
        subject.model(subject.batches(np.array([0, heavy])))


CHECKS: tuple[Callable[[Subject], None], ...] = (
    has_the_published_parameters,
    has_settings_that_can_be_recorded,
    counts_the_crystals_it_cannot_represent,
    sees_distances_and_elements,
    predicts_each_crystal_alone,
    trains_to_the_same_bits,
    takes_the_statistics_of_a_pass,
    keeps_its_state,
    learns_eight_crystals,
)  # beside `predicts_the_same` and `trains_every_parameter`, from which a model may have exceptions
