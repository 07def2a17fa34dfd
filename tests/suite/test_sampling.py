"""Proposals: reproducible, inside the domains, and from one model's history alone."""

import random

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from suite.sampling.optuna_samplers import _sampler, _teaching, ask_optuna
from suite.sampling.propose import propose, startup_trials
from suite.space.domains import Choice, Float, Integer

DOMAINS = {
    "m/x": Float(0.0, 10.0),
    "m/n": Integer(1, 8),
    "m/kind": Choice((1, 2, "adaptive")),
}


def trial(
    x: float, value: float | None, state: TrialState = TrialState.COMPLETE, n: int = 3
) -> optuna.trial.FrozenTrial:
    return create_trial(
        state=state,
        value=value if state == TrialState.COMPLETE else None,
        params={"m/x": x, "m/n": n, "m/kind": 1},
        distributions={name: domain.distribution() for name, domain in DOMAINS.items()},
        intermediate_values={1: value} if value is not None else {},
    )


def ask(history: list, number: int, sampler: str = "tpe", seed: int = 0) -> dict:
    proposal = propose(history, DOMAINS, sampler=sampler, seed=seed, number=number, startup_trials=3)
    return proposal.params


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_proposal_depends_on_history_seed_and_number_alone(sampler: str) -> None:
    history = [trial(x, (x - 7) ** 2) for x in (0.0, 3.0, 6.0, 9.0)]
    assert ask(history, 5, sampler) == ask(history, 5, sampler)
    assert ask(history, 5, sampler) != ask(history, 6, sampler)
    assert ask(history, 5, sampler) != ask(history, 5, sampler, seed=1)


def test_proposals_lie_in_their_domains() -> None:
    for number in range(20):
        params = ask([], number)
        assert 0 <= params["m/x"] <= 10
        assert params["m/n"] in range(1, 9)
        assert params["m/kind"] in (1, 2, "adaptive")


def test_tpe_goes_where_the_error_was_small() -> None:
    history = [trial(x / 2, (x / 2 - 7) ** 2) for x in range(20)]
    proposals = [ask(history, number)["m/x"] for number in range(15)]
    randoms = [ask(history, number, "random")["m/x"] for number in range(15)]

    def miss(values: list[float]) -> float:
        return sum(abs(value - 7) for value in values) / len(values)

    assert miss(proposals) < 0.6 * miss(randoms)


def test_stopped_trials_teach_with_their_last_value() -> None:
    history = [trial(x / 2, (x / 2 - 7) ** 2, TrialState.PRUNED) for x in range(20)]
    proposals = [ask(history, number)["m/x"] for number in range(15)]
    assert sum(abs(value - 7) for value in proposals) / 15 < 2.5


def test_failed_and_running_trials_are_no_obstacle() -> None:
    history = [trial(1.0, None, TrialState.FAIL), trial(2.0, None, TrialState.RUNNING)]
    history += [trial(x, x) for x in (3.0, 4.0, 5.0)]
    assert set(ask(history, 9)) == set(DOMAINS)


def test_nothing_searched_proposes_nothing() -> None:
    assert not propose([], {}, sampler="tpe", seed=0, number=0, startup_trials=3).params


@pytest.mark.parametrize(("share", "expected"), [(1, 3), (9, 3), (18, 6), (300, 10)])
def test_startup_trials(share: int, expected: int) -> None:
    assert startup_trials(share) == expected


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga-ii"])
def test_trials_that_are_lent_to_a_sampler_teach_it_what_added_ones_do(sampler: str, objectives: int) -> None:
    """The oracle is a study of Optuna's own, to which the same trials were added one by one."""
    distributions = {name: domain.distribution() for name, domain in DOMAINS.items()}
    rng = random.Random(objectives)
    history = []
    for number in range(14):
        state = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING][number % 4]
        values = [rng.random() for _ in range(objectives)] if state == TrialState.COMPLETE else None
        steps = {1: rng.random()} if state == TrialState.PRUNED else {}
        params = {"m/x": rng.uniform(0, 10), "m/n": rng.randint(1, 8), "m/kind": rng.choice([1, "adaptive"])}
        history.append(
            create_trial(
                state=state,
                values=values,
                params=params,
                distributions=distributions,
                intermediate_values=steps,
            )
        )
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=_sampler(sampler, 7, 3))
    study.add_trials(_teaching(history, objectives))
    proposal = ask_optuna(history, DOMAINS, sampler=sampler, seed=7, startup_trials=3, objectives=objectives)
    assert proposal.params == study.ask(distributions).params
