"""The digest of a search space, and overrides: what counts as the same search."""

from pathlib import Path

import pytest
from toy_spaces import load

from suite.space.search_space import BudgetSpec

BASE = """
name: base
data: {dataset: mp-elastic-2015, target: log10_K_VRH}
budget: {trials: 4, epochs: 20}
train: {lr: {float: [1.0e-4, 2.0e-3], log: true}}
models:
  toy: {depth: {int: [1, 4]}}
  rival: {}
"""


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("name: base", "name: other # and a comment"),
        BASE + "final: {top: 2, seeds: [5]}\nresources: {cpu: 2}\nsearch: {concurrent: 3}\n",
        BASE.replace("trials: 4", "trials: 9, hours: 2"),
        "\n".join(
            ["budget: {epochs: 20, trials: 4}", *(line for line in BASE.splitlines() if "budget" not in line)]
        ),
        BASE.replace(
            "  toy: {depth: {int: [1, 4]}}\n  rival: {}", "  rival: {}\n  toy: {depth: {int: [1, 4]}}"
        ),
        BASE.replace("1.0e-4", "0.0001").replace("[1, 4]", "[0x1, 4], step: 1, log: false"),
        BASE + "objective: val_mae\nsearch: {sampler: tpe, grace_epochs: 3}\n",  # the defaults
        BASE.replace("{}", "{depth: 4, loss: l1, lr: {float: [1.0e-4, 2.0e-3], log: true}}"),
    ],
)
def test_the_digest_ignores_what_does_not_change_the_search(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).digest == load(tmp_path, BASE).digest


@pytest.mark.parametrize(
    "setting",
    [
        "budget.epochs=21",
        "data.target=log10_G_VRH",
        "data.split.seed=1",
        "search.seed=1",
        "search.sampler=random",
        "search.scheduler=none",
        "search.grace_epochs=4",
        "search.reduction=2",
        "train.lr.log=false",
        "train.lr.float=[1e-4, 3e-3]",
        "train.recipe=published",
        "train.recipe={choices: [common, published]}",
        "models.toy.depth.int=[1, 5]",
        "models.toy.scale=1.5",
        "models.rival.loss=mse",
        "models={toy: {depth: {int: [1, 4]}}}",
    ],
)
def test_the_digest_changes_with_the_search(tmp_path: Path, setting: str) -> None:
    assert load(tmp_path, BASE, setting).digest != load(tmp_path, BASE).digest


def test_an_override_counts_as_if_the_file_said_it(tmp_path: Path) -> None:
    overridden = load(tmp_path, BASE, "models.toy.depth={int: [1, 6]}", "budget.trials=8", "budget.trials=12")
    edited = load(tmp_path, BASE.replace("[1, 4]", "[1, 6]").replace("trials: 4", "trials: 12"))
    assert overridden.digest == edited.digest
    assert overridden.budget == edited.budget == BudgetSpec(12, 20, None)
    assert overridden.models == edited.models
    assert overridden.text == BASE
    assert overridden.overrides == ("models.toy.depth={int: [1, 6]}", "budget.trials=8", "budget.trials=12")
