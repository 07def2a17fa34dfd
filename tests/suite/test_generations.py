"""The next generation of a population, and the settings that make one."""

import random
from pathlib import Path

import pytest
from toy_spaces import load

from crystalformer.training.config import CHANGEABLE
from suite.assignment import Assignment, Membership, Stretch
from suite.population import Paused, next_generation
from suite.sampling.explore import explored
from suite.space.search_space import SpaceError


def member(number: int, error: float, lr: float, depth: int = 4) -> Paused:
    name = f"t{number:04d}"
    params = {"lr": lr, "depth": depth}
    lineage = (Stretch(0, name, params),)
    return Paused(Assignment(number, name, "toy", params, 0, Membership(0, 5, None, lineage)), error)


SPACE = """
name: population
data: {dataset: mp-elastic-2015, target: log10_K_VRH}
budget: {trials: 8, epochs: 20}
search: {scheduler: pbt, perturb_every: 5}
models:
  toy: {depth: {int: [1, 8]}, lr: {float: [1.0e-5, 1.0e-1], log: true}}
"""


def test_the_worst_quarter_copies_the_best_quarter(tmp_path: Path) -> None:
    space = load(tmp_path, SPACE)
    members = [member(number, error=(number * 3) % 8, lr=1e-3, depth=1 + number) for number in range(8)]
    following = next_generation(members, 5, space)
    assert following == next_generation(members, 5, space)
    best, worst = {"t0000", "t0003"}, {"t0002", "t0005"}  # errors 0 and 1, 6 and 7
    for before, after in zip(members, following, strict=True):
        assert after.member is not None
        assert (after.member.start, after.member.until) == (5, 10)
        if after.trial_id in worst:
            assert after.member.source in best
            assert after.member.lineage[0].by == after.member.source
            assert after.member.lineage[-1] == Stretch(5, after.trial_id, after.params)
            assert after.params["depth"] == 1 + int(after.member.source[1:])
            assert after.params["lr"] != 1e-3
        else:
            assert (after.params, after.member.source) == (before.assignment.params, after.trial_id)


def test_only_what_may_change_is_explored_within_its_domain(tmp_path: Path) -> None:
    text = SPACE.replace(
        "depth: {int: [1, 8]}",
        "depth: {int: [1, 8]}, loss: {choices: [l1, mse]}, schedule_steps: {int: [100, 130], step: 10}, "
        "weight_decay: {choices: [0, 1.0e-5, 1.0e-3]}, lr_end: {float: [0, 1.0e-3]}, schedule: linear",
    ).replace("[1.0e-5, 1.0e-1]", "[1.0e-3, 1.0e-1]")
    model = load(tmp_path, text).models["toy"]
    params = {
        "depth": 3, "loss": "mse", "schedule_steps": 110, "weight_decay": 1e-5, "lr_end": 5e-4, "lr": 2e-3,
    }  # fmt: skip
    seen: dict[str, set] = {name: set() for name in params}
    for seed in range(200):
        after = explored(params, model, 0.0, 20, random.Random(seed))
        assert all(after[name] in model.domains[name] for name in params)
        for name, value in after.items():
            seen[name].add(value)
    assert seen["depth"] == {3}
    assert seen["loss"] == {"mse"}
    assert seen["schedule_steps"] == {100, 130}
    assert seen["weight_decay"] == {0, 1e-3}
    assert sorted(seen["lr"]) == pytest.approx([1.6e-3, 2.4e-3])
    drawn = [explored(params, model, 1.0, 20, random.Random(seed))["lr"] for seed in range(50)]
    assert len(set(drawn)) == 50
    assert {"lr", "weight_decay"} <= set(CHANGEABLE)


REFUSED = [
    ("search.sampler=tpe", "search.sampler: expected random or quasi-random for pbt"),
    ("search.sampler=grid", "search.sampler: expected"),
    ("objective=[val_mae, parameters]", "search.scheduler: expected one objective for pbt"),
    ("models.toy.lr=0.001", "expected a searched parameter that may change during training in models.toy"),
    ("models.toy.depth.when={lr: 0.001}", "models.toy.depth depends on lr, which changes during training"),
    (
        "budget.trials=1",
        "budget.trials: expected at least 2 for pbt, a population of two for each model, got 1",
    ),
    ("final={epochs: 40}", "final.epochs: expected the 20 epochs of the budget for pbt"),
    (
        "search.perturb_every=20",
        "search.perturb_every: expected less than the 20 epochs of the budget, got 20",
    ),
    ("search.quantile=0.6", "search.quantile: expected a number above 0 and at most 0.5, got 0.6"),
    ("search.resample=2", "search.resample: expected a probability from 0 to 1, got 2"),
    ("search.grace_epochs=2", "search.grace_epochs: expected beside a scheduler that stops trials"),
    ("search={perturb_every: 3}", "search.perturb_every: expected beside scheduler: pbt only"),
    ("search.perturb_evry=3", "unknown key 'perturb_evry'; closest: perturb_every"),
]


@pytest.mark.parametrize(("setting", "message"), REFUSED)
def test_what_does_not_go_together_is_refused(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(SpaceError) as error:
        load(tmp_path, SPACE, setting)
    assert message in str(error.value)


def test_an_ablation_is_no_population(tmp_path: Path) -> None:
    factors = "models={toy: {factors: {depth: [2]}}}"
    with pytest.raises(SpaceError, match=r"search\.scheduler: expected none for an ablation"):
        load(tmp_path, SPACE, factors, "search={sampler: ablate, scheduler: pbt}")


def test_the_population_is_part_of_what_is_searched(tmp_path: Path) -> None:
    space = load(tmp_path, SPACE)
    assert (space.search.sampler, space.search.quantile, space.search.resample) == ("random", 0.25, 0.25)
    assert load(tmp_path, SPACE, "budget.trials=9").digest != space.digest
    assert load(tmp_path, SPACE, "search.concurrent=3").digest == space.digest
