"""Priors and further starting points: read, refused, and what a sampler makes of them."""

from pathlib import Path

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.console import Console
from toy_spaces import MINIMAL, load

from suite.ledger import TrialLedger
from suite.sampling.beliefs import SPREAD
from suite.sampling.propose import propose
from suite.space.describe import _parameters
from suite.space.domains import Choice, Domain, Float, Integer
from suite.space.priors import Prior
from suite.space.search_space import SpaceError
from suite.storage import open_storage
from suite.storage_url import DEFAULT

DOMAINS: dict[str, Domain] = {
    "m/lr": Float(1e-5, 1e-1, log=True),
    "m/n": Integer(1, 64),
    "m/kind": Choice(("a", "b", "c", "d")),
}
PRIORS = {"m/lr": Prior(1e-4, 0.8), "m/kind": Prior("c", 0.8)}
LEARNERS = ["tpe", "gp", "nsga-ii"]


def near(params: dict) -> bool:
    return abs(np.log10(params["m/lr"]) + 4) < 2 * SPREAD * 4 and params["m/kind"] == "c"


def proposals(sampler: str, trials: int, priors: dict[str, Prior] | None = None) -> list[dict]:
    """A search in which every trial is as good as every other, so that a sampler learns nothing."""
    objectives = 2 if sampler == "nsga-ii" else 1
    history: list[FrozenTrial] = []
    for number in range(trials):
        proposal = propose(
            history, DOMAINS, sampler=sampler, seed=0, number=number, startup_trials=10,
            objectives=objectives, priors=priors,
        )  # fmt: skip
        history.append(
            create_trial(
                state=TrialState.COMPLETE,
                values=[1.0] * objectives,
                params=proposal.params,
                distributions={name: domain.distribution() for name, domain in DOMAINS.items()},
                system_attrs=proposal.attributes,
                intermediate_values={1: 1.0},
            )
        )
    return [trial.params for trial in history]


@pytest.mark.parametrize("sampler", ["random", "quasi-random", *LEARNERS])
def test_first_proposals_lie_near_the_prior_as_often_as_its_strength_says(sampler: str) -> None:
    trials = 8 if sampler == "gp" else 64 if sampler in ("random", "quasi-random") else 10
    with_prior, without = (
        [near(params) for params in proposals(sampler, trials, priors)] for priors in (PRIORS, None)
    )
    expected = 0.8 if sampler == "random" else 0.5  # of Sobol points each parameter follows by itself
    assert np.mean(with_prior) >= expected - 0.12
    assert np.mean(without) < 0.4
    assert proposals(sampler, 4, PRIORS) == proposals(sampler, 4, PRIORS)


def test_a_prior_leaves_other_parameters_as_they_were() -> None:
    bare, believed = (proposals("random", 16, priors) for priors in (None, PRIORS))
    assert [params["m/n"] for params in bare] == [params["m/n"] for params in believed]
    assert bare != believed


def test_a_sampler_that_learns_is_believed_in_the_end() -> None:
    """Where the prior is wrong, it costs some trials and no more."""
    domains: dict[str, Domain] = {"m/x": Float(0.0, 10.0)}
    history: list[FrozenTrial] = []
    for number in range(80):
        x = propose(
            history, domains, sampler="tpe", seed=0, number=number, startup_trials=10,
            priors={"m/x": Prior(1.0, 0.9)},
        ).params["m/x"]  # fmt: skip
        assert isinstance(x, float)
        history.append(
            create_trial(
                value=(x - 8) ** 2,
                params={"m/x": x},
                distributions={"m/x": domains["m/x"].distribution()},
            )
        )
    values = np.array([trial.params["m/x"] for trial in history])
    assert np.mean(values[:10] < 4) >= 0.8
    assert np.mean(values[-40:] > 6) >= 0.7
    assert abs(min(history, key=lambda trial: trial.value or 0.0).params["m/x"] - 8) < 0.3


def test_cma_es_begins_at_the_prior() -> None:
    first = proposals("cma-es", 1)[0]
    assert abs(np.log10(first["m/lr"]) + 3) < 2
    starts = [
        propose([], DOMAINS, sampler="cma-es", seed=seed, number=0, startup_trials=3, priors=PRIORS).params
        for seed in range(40)
    ]
    assert np.mean([np.log10(params["m/lr"]) for params in starts]) == pytest.approx(-4, abs=0.4)
    assert np.mean([params["m/kind"] == "c" for params in starts]) > 0.6


SPACE = """
name: beliefs
data: {dataset: mp-elastic-2015, target: log10_K_VRH}
budget: {trials: 12, epochs: 20}
train: {lr: {float: [1.0e-4, 2.0e-3], log: true, prior: 1.0e-3, strength: 0.9}}
models:
  toy:
    depth: {int: [1, 6], prior: 2}
    scale: 0.7
    loss: {choices: [l1, mse]}
    width: {choices: [48, 96], when: {loss: mse}}
    first: [{depth: 2, lr: 0.001}, {loss: mse, width: 48}]
  rival: {first: [{lr: 0.0002}]}
"""


def test_they_are_read_noted_shown_and_part_of_the_search(tmp_path: Path) -> None:
    space = load(tmp_path, SPACE)
    toy = space.models["toy"]
    assert toy.priors == {"lr": Prior(1e-3, 0.9), "depth": Prior(2, 0.5)}
    assert [dict(point) for point in toy.starts] == [
        {"lr": 5e-4, "depth": 4, "loss": "l1"},
        {"lr": 1e-3, "depth": 2, "loss": "l1"},
        {"lr": 5e-4, "depth": 4, "loss": "mse", "width": 48},
    ]
    assert "toy: the published configuration is followed by 2 more starting points" in space.notes
    console = Console(width=160)
    with console.capture() as captured:
        console.print(_parameters(space, toy))
    assert "[1, 6], prior 2 (strength 0.5)" in captured.get()
    for change in ("train.lr.strength=0.8", "models.toy.depth.prior=3", "models.rival.first=[{lr: 0.0003}]"):
        assert load(tmp_path, SPACE, change).digest != space.digest


def test_starting_points_are_the_first_trials_and_count(tmp_path: Path) -> None:
    space = load(tmp_path, SPACE)
    ledger = TrialLedger(open_storage(DEFAULT, tmp_path), "study", space)
    given = [ledger.next() for _ in range(6)]
    starts = [space.models[key].starts for key in ("toy", "rival")]
    assert [(trial.model, trial.params) for trial in given[:5] if trial] == [
        ("toy", starts[0][0]), ("rival", starts[1][0]), ("toy", starts[0][1]), ("rival", starts[1][1]),
        ("toy", starts[0][2]),
    ]  # fmt: skip
    assert given[5] is not None
    assert given[5].params not in starts[1]
    resumed = TrialLedger(open_storage(DEFAULT, tmp_path), "study", space)
    assert [resumed.next() for _ in range(6)] == given
    assert load(tmp_path, SPACE, "budget.trials=auto").budget.trials == 5


MISTAKES = [
    ("prior: 2", "prior: 9", "8: models.toy.depth.prior: expected a value of depth, [1, 6], got 9"),
    (
        "strength: 0.9",
        "strength: 1",
        "5: train.lr.strength: expected a number above 0 and below 1, got 1",
    ),
    ("prior: 1.0e-3, ", "", "5: train.lr.strength: expected beside a prior"),
    ("prior: 2", "priot: 2", "8: models.toy.depth: unknown key 'priot'; closest: prior"),
    (
        "{depth: 2, lr: 0.001}",
        "{dept: 2}",
        "12: models.toy.first[0].dept: unknown searched parameter of this model 'dept'; closest: depth",
    ),
    ("{depth: 2,", "{scale: 2,", "12: models.toy.first[0].scale: scale is not searched, but fixed at 0.7"),
    ("{depth: 2,", "{depth: 7,", "12: models.toy.first[0].depth: expected a value of depth, [1, 6], got 7"),
    (
        "{depth: 2, lr: 0.001}",
        "{depth: 4}",
        "12: models.toy.first[0]: the same as the published configuration",
    ),
    (
        "{loss: mse, width: 48}",
        "{width: 48}",
        "12: models.toy.first[1].width: width does not exist with the other values of this entry",
    ),
    ("[{lr: 0.0002}]", "[]", "13: models.rival.first: expected a list of configurations"),
    ("[{lr: 0.0002}]", "[{}]", "13: models.rival.first[0]: expected a configuration such as {lr: 0.001}"),
    (
        "first: [{lr",
        "frist: [{lr",
        "13: models.rival.frist: unknown parameter of rival 'frist'; closest: first",
    ),
    (
        "trials: 12",
        "trials: 4",
        "4: budget.trials: expected at least 5, one for the published configuration of each model "
        "and the starting points after it, got 4",
    ),
]


@pytest.mark.parametrize(("text", "wrong", "message"), MISTAKES)
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, wrong: str, message: str) -> None:
    with pytest.raises(SpaceError) as error:
        load(tmp_path, SPACE.replace(text, wrong))
    assert f"space.yaml:{message}" in str(error.value)


def test_a_grid_has_no_use_for_them(tmp_path: Path) -> None:
    grid = MINIMAL.replace("{toy: {}}", "{toy: {depth: {int: [1, 3], prior: 2}}}")
    with pytest.raises(SpaceError, match=r"expected no prior in models\.toy for a grid"):
        load(tmp_path, grid, "search.sampler=grid")
