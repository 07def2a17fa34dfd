"""Searches whose trials are known in advance: grids and ablations; and several objectives, and budgets."""

from itertools import product
from pathlib import Path

import optuna
import pytest
from toy_spaces import load

from suite.budget import Budget
from suite.ledger import TrialLedger
from suite.space.search_space import BudgetSpec, SearchSpace, SpaceError
from suite.storage import open_storage
from suite.storage_url import DEFAULT
from suite.turns import Turns

ABLATION = """
name: ablation
data: {dataset: mp-elastic-2015, target: log10_K_VRH}
budget: {epochs: 20}
search: {sampler: ablate, seeds: [5, 6]}
models:
  toy:
    reference: {depth: 3, lr: 1.0e-3}
    factors: {depth: [1, 3, 9], scale: [0.7, 2.1], swa_epochs: [0, 5]}
"""


def test_only_what_will_run_has_to_be_possible(tmp_path: Path) -> None:
    """One block with a scale of 2.8 is impossible; one at a time the two changes never meet."""
    text = ABLATION.replace("scale: [0.7, 2.1]", "scale: [0.7, 2.8]")
    scales = {(point["depth"], point["scale"]) for _, point in listed(load(tmp_path, text))}
    assert {(3, 2.8), (1, 1.4)} < scales
    said = refusal(tmp_path, text, "search.design=factorial")
    assert "expected less than 2.8 for one block, got 2.8" in said


def ledger_of(folder: Path, space: SearchSpace) -> TrialLedger:
    return TrialLedger(open_storage(DEFAULT, folder), "study", space)


def refusal(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(SpaceError) as error:
        load(folder, text, *overrides)
    return str(error.value)


def listed(space: SearchSpace) -> list[tuple[int | None, dict]]:
    return [(turn.seed, dict(turn.params or {})) for turn in Turns(space).listed or ()]


def test_one_factor_at_a_time_around_the_reference(tmp_path: Path) -> None:
    space = load(tmp_path, ABLATION)
    reference = {"depth": 3, "scale": 1.4, "swa_epochs": 2}  # what is not said is published or the recipe's
    others = [
        ("depth", 1),
        ("depth", 9),
        ("scale", 0.7),
        ("scale", 2.1),
        ("swa_epochs", 0),
        ("swa_epochs", 5),
    ]
    points = [reference, *({**reference, name: value} for name, value in others)]
    assert listed(space) == [(seed, point) for seed in (5, 6) for point in points]
    config, training = space.resolve("toy", points[3])
    assert (config.depth, config.scale, training.lr, training.swa_epochs) == (3, 0.7, 1e-3, 2)
    assert space.search.scheduler == "none"


def test_a_factorial_design_has_every_combination_and_the_reference_first(tmp_path: Path) -> None:
    space = load(tmp_path, ABLATION, "search.design=factorial", "search.seeds=[0]")
    points = [tuple(point.values()) for _, point in listed(space)]
    assert points[0] == (3, 1.4, 2)
    assert sorted(points) == sorted(product((1, 3, 9), (0.7, 1.4, 2.1), (0, 2, 5)))


def test_a_ledger_runs_the_design_and_ends(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, load(tmp_path, ABLATION))
    given = []
    while (assignment := ledger.next()) is not None:
        given.append((assignment.seed, assignment.params))
        result = {"epochs": 20, "val_mae": 0.1, "parameters": 3}
        ledger.finish(assignment.number, "complete", "done", result)
    assert given == listed(ledger.space)
    assert not ledger_of(tmp_path, ledger.space).work_left()


MISTAKES = [
    ("factors: {}", "models.toy: expected factors, such as factors: {num_layers: [2, 4, 7]}"),
    ("factors: {depht: [1]}", "unknown parameter of toy 'depht'; closest: depth"),
    ("factors: {depth: 4}", "models.toy.factors.depth: expected a list of values, such as [2, 4, 7], got 4"),
    (
        "factors: {depth: [4]}",
        "models.toy.factors.depth: expected another value than that of the reference, 4",
    ),
    ("factors: {depth: [two]}", "models.toy.factors.depth: expected a whole number, got 'two'"),
    ("factors: {depth: [99]}", "models.toy.factors.depth: expected 1 to 16 blocks, got 99"),
    ("depth: 3", "models.toy.depth: unknown key 'depth' of an ablation; valid: reference, factors, recipe"),
    (
        "reference: {scale: {float: [1, 2]}}\n    factors: {depth: [2]}",
        "scale: expected one value, as an ablation searches nothing, got [1, 2]",
    ),
]


@pytest.mark.parametrize(("block", "message"), MISTAKES)
def test_mistakes_in_an_ablation(tmp_path: Path, block: str, message: str) -> None:
    head = ABLATION.partition("    reference")[0]
    assert message in refusal(tmp_path, f"{head}    {block}\n")


GRID = """
name: grid
data: {dataset: mp-elastic-2015, target: log10_K_VRH}
budget: {epochs: 20}
search: {sampler: grid}
models:
  toy: {depth: {choices: [1, 2, 3]}, loss: {choices: [l1, mse]}}
  rival: {loss: {choices: [l1, mse]}}
"""


def test_a_grid_ends_with_its_last_combination(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, load(tmp_path, GRID))
    given: list[tuple] = []
    while (assignment := ledger.next()) is not None:
        given.append((assignment.model, *assignment.params.values()))
    toy = [("toy", *point) for point in product((1, 2, 3), ("l1", "mse"))]
    rival = [("rival", "l1"), ("rival", "mse")]
    assert given == [toy[0], rival[0], toy[1], rival[1], *toy[2:]]
    assert Turns(load(tmp_path, GRID, "budget.trials=3")).limit == 3


REFUSED = [
    (
        "search={sampler: grid}",
        "search.sampler: expected finitely many values for a grid, but models.toy.scale",
    ),
    ("search={sampler: nsga-ii}", "search.sampler: expected several objectives for nsga-ii"),
    ("search={sampler: tpe, seeds: [1]}", "search.seeds: expected beside sampler: ablate only"),
    ("search={design: factorial}", "search.design: expected beside sampler: ablate only"),
]


@pytest.mark.parametrize(("setting", "message"), REFUSED)
def test_what_does_not_go_together_is_refused(tmp_path: Path, setting: str, message: str) -> None:
    text = GRID.replace("toy: {depth", "toy: {scale: {float: [1, 2]}, depth").replace(
        "{epochs: 20}", "{epochs: 20, trials: 9}"
    )
    assert message in refusal(tmp_path, text, setting)


def test_an_ablation_is_not_stopped_early(tmp_path: Path) -> None:
    said = refusal(tmp_path, ABLATION, "search.scheduler=asha")
    assert "search.scheduler: expected none for an ablation" in said


def test_several_objectives_are_recorded_and_stopped_trials_have_none(tmp_path: Path) -> None:
    text = GRID.replace("sampler: grid", "sampler: tpe").replace("{epochs: 20}", "{epochs: 20, trials: 4}")
    space = load(tmp_path, text + "objective: [val_mae, parameters]\n")
    ledger = ledger_of(tmp_path, space)
    for number in range(4):
        assert ledger.next() is not None
        state = "stopped" if number == 2 else "complete"
        ledger.finish(number, state, "", {"epochs": 20, "val_mae": 0.1 * number, "parameters": 9 - number})
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/study.db")
    assert [trial.values for trial in study.trials][:2] == [[0.0, 9.0], [0.1, 8.0]]
    assert {trial.number for trial in study.best_trials} == {0, 1, 3}
    assert [row["pareto"] for row in ledger.rows("y")] == [True, True, False, True]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"hours": 2}, "the budget of 2 h was used up"),
        ({"gpu_hours": 0.5}, "the budget of 0.5 GPU hours was used up"),
        ({"total_epochs": 30}, "the budget of 30 epochs in all was used up"),
    ],
)
def test_each_limit_ends_the_search(limits: dict, reason: str) -> None:
    passed = [0.0]
    budget = Budget(BudgetSpec(trials=9, epochs=20, **{"hours": None, **limits}), lambda: passed[0])
    budget.use(0, 0.5), budget.use(1, 0.5)
    budget.note(0, 14, 1700.0)
    budget.note(1, 15, 1800.0)
    passed[0] = 7199.0
    assert budget.used_up() is None
    passed[0] = 7200.0
    budget.note(1, 16, 1900.0)  # replaces what was noted before
    assert budget.used_up() == reason
