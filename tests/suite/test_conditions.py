"""Parameters that exist only for some values of others, from the file to the trial."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console
from toy_spaces import MODELS, load

from suite.ledger import TrialLedger
from suite.space.describe import _parameters
from suite.space.search_space import SpaceError
from suite.storage import open_storage
from suite.storage_url import DEFAULT
from suite.turns import Turns

SPACE = """
name: conditional
data: {dataset: mp-elastic-2015, target: log10_K_VRH}
budget: {trials: 24, epochs: 20}
search: {sampler: SAMPLER}
models:
  toy:
    loss: {choices: [l1, mse]}
    depth: {int: [2, 4], when: {loss: mse}}
    scale: {choices: [0.7, 1.4], when: {depth: [3, 4], loss: mse}}
"""


def names(params: dict) -> set[str]:
    """Which of the three there should be."""
    if params["loss"] == "l1":
        return {"loss"}
    return {"loss", "depth"} | ({"scale"} if params["depth"] >= 3 else set())


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "cma-es", "quasi-random"])
def test_trials_have_the_parameters_that_exist(tmp_path: Path, sampler: str) -> None:
    space = load(tmp_path, SPACE.replace("SAMPLER", sampler))
    ledger = TrialLedger(open_storage(DEFAULT, tmp_path), "study", space)
    seen = set()
    for number in range(24):
        assignment = ledger.next()
        assert assignment is not None
        assert set(assignment.params) == names(assignment.params)
        seen.add(frozenset(assignment.params))
        config, training = space.resolve("toy", assignment.params)
        assert config.depth == assignment.params.get("depth", 4)  # its default where it does not exist
        assert training.loss == assignment.params["loss"]
        error = 0.1 * number % 0.7
        ledger.finish(number, "complete", "", {"epochs": 20, "val_mae": error, "parameters": 1})
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/study.db")
    for trial, record in zip(study.trials, ledger.trials(), strict=True):
        assert trial.state == TrialState.COMPLETE
        assert set(trial.params) == {f"toy/{name}" for name in record.assignment.params}
    assert len(seen) == 3


def test_a_grid_has_each_existing_combination_once(tmp_path: Path) -> None:
    turns = Turns(load(tmp_path, SPACE.replace("SAMPLER", "grid")))
    points = [dict(turn.params or {}) for turn in turns.listed or ()]
    mse = [{"loss": "mse", "depth": depth, "scale": s} for depth in (3, 4) for s in (0.7, 1.4)]
    assert points == [{"loss": "l1"}, {"loss": "mse", "depth": 2}, *mse]


def test_values_of_what_does_not_exist_are_refused(tmp_path: Path) -> None:
    space = load(tmp_path, SPACE.replace("SAMPLER", "tpe"))
    with pytest.raises(ValueError, match="expected loss, got depth, loss"):
        space.resolve("toy", {"loss": "l1", "depth": 3})
    with pytest.raises(ValueError, match="expected depth, loss, scale, got depth, loss"):
        space.resolve("toy", {"loss": "mse", "depth": 3})


def test_a_dry_run_shows_the_condition(tmp_path: Path) -> None:
    space = load(tmp_path, SPACE.replace("SAMPLER", "tpe"))
    console = Console(width=160, record=True)
    console.print(_parameters(space, space.models["toy"]))
    text = console.export_text()
    assert "[0.7, 1.4] when depth is 3 or 4 and loss is mse" in text


def test_the_digest_knows_the_conditions(tmp_path: Path) -> None:
    text = SPACE.replace("SAMPLER", "tpe")
    other = text.replace("when: {loss: mse}}", "when: {loss: l1}}").replace(", loss: mse}", ", loss: l1}")
    assert load(tmp_path, text).digest != load(tmp_path, other).digest


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "when: {loss: mse}}",
            "when: {los: mse}}",
            "searched parameter of this model 'los'; closest: loss",
        ),
        ("when: {loss: mse}}", "when: {lr: 1}}", "unknown searched parameter of this model 'lr'"),
        ("when: {loss: mse}}", "when: {depth: 2}}", "unknown searched parameter of this model 'depth'"),
        (
            "when: {loss: mse}}",
            "when: {loss: mae}}",
            "when.loss: expected values of loss, [l1, mse], got mae",
        ),
        ("when: {loss: mse}}", "when: {}}", "depth.when: expected a condition such as"),
        ("when: {loss: mse}}", "when: {scale: 0.7}}", "the condition of depth depends on depth itself"),
    ],
)
def test_mistakes_in_a_condition(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert "toy" in MODELS
    with pytest.raises(SpaceError) as error:
        load(tmp_path, SPACE.replace("SAMPLER", "tpe").replace(before, after))
    assert message in str(error.value)
