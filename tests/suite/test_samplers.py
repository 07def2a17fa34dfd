"""Every sampler proposes inside the domains, the same again, and those that learn find the optimum."""

import math
from itertools import product

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from suite.sampling.grid import grid_point, grid_size
from suite.sampling.propose import propose
from suite.sampling.unit_cube import position, value_at
from suite.space.domains import Choice, Domain, Float, Integer

DOMAINS: dict[str, Domain] = {
    "m/x": Float(0.0, 10.0),
    "m/lr": Float(1e-4, 1e-1, log=True),
    "m/n": Integer(1, 8),
    "m/kind": Choice((1, 2, "adaptive")),
}
SAMPLERS = ["tpe", "random", "quasi-random", "gp", "cma-es"]


def recorded(params: dict, values: list[float] | None, state: TrialState, **attrs: object) -> FrozenTrial:
    return create_trial(
        state=state,
        values=values if state == TrialState.COMPLETE else None,
        params=params,
        distributions={name: domain.distribution() for name, domain in DOMAINS.items() if name in params},
        intermediate_values={1: values[0]} if values else {},
        user_attrs=attrs,
    )


def error(params: dict) -> float:
    far = abs(math.log10(params["m/lr"]) + 2.5)
    return (params["m/x"] - 7) ** 2 / 10 + far + (params["m/n"] - 3) ** 2 / 10 + (params["m/kind"] != 2)


def search(sampler: str, trials: int, seed: int = 0) -> list[dict]:
    """A search by hand, all trials completed in order."""
    history: list[FrozenTrial] = []
    proposals = []
    for number in range(trials):
        params = propose(history, DOMAINS, sampler=sampler, seed=seed, number=number, startup_trials=6).params
        proposals.append(params)
        history.append(recorded(params, [error(params)], TrialState.COMPLETE))
    return proposals


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_proposals_lie_in_their_domains_and_repeat(sampler: str) -> None:
    first, again = search(sampler, 12), search(sampler, 12)
    assert first == again
    assert search(sampler, 3, seed=1) != first[:3]
    for params in first:
        assert all(params[name] in domain for name, domain in DOMAINS.items())
        assert isinstance(params["m/n"], int)


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_samplers_that_learn_get_better(sampler: str) -> None:
    trials = 20 if sampler == "gp" else 60
    best = min(error(params) for params in search(sampler, trials))
    assert best < 0.6 * min(error(params) for params in search("random", trials))


def test_cma_es_closes_in_on_the_optimum() -> None:
    domains: dict[str, Domain] = {"m/x": DOMAINS["m/x"], "m/lr": DOMAINS["m/lr"]}

    def errors(sampler: str) -> list[float]:
        history: list[FrozenTrial] = []
        for number in range(72):
            params = propose(
                history, domains, sampler=sampler, seed=0, number=number, startup_trials=6
            ).params
            value = error({**params, "m/n": 3, "m/kind": 2})
            history.append(recorded(params, [value], TrialState.COMPLETE))
        return [trial.value for trial in history if trial.value is not None]

    assert np.mean(errors("cma-es")[-12:]) < 0.4 * np.mean(errors("random")[-12:])


@pytest.mark.parametrize("sampler", [*SAMPLERS, "nsga-ii"])
def test_failed_stopped_and_running_trials_are_no_obstacle(sampler: str) -> None:
    objectives = 2 if sampler == "nsga-ii" else 1
    params = [{"m/x": float(n), "m/lr": 1e-3, "m/n": 3, "m/kind": 1} for n in range(9)]
    values = [[float(n + 1)] * objectives for n in range(9)]
    states = [TrialState.FAIL, TrialState.PRUNED, TrialState.RUNNING, *[TrialState.COMPLETE] * 6]
    history = [
        recorded(p, None if s in (TrialState.FAIL, TrialState.RUNNING) else v, s, infeasible=True)
        for p, v, s in zip(params, values, states, strict=True)
    ]
    proposal = propose(
        history, DOMAINS, sampler=sampler, seed=0, number=9, startup_trials=3, objectives=objectives
    )
    assert all(proposal.params[name] in domain for name, domain in DOMAINS.items())


def test_what_ran_out_of_memory_is_kept_away_from() -> None:
    domains = {"m/x": DOMAINS["m/x"]}

    def proposals(infeasible: bool) -> list[float]:
        history = []
        for n in range(30):
            x = n / 3
            failed = x > 5  # where the error would be smallest, too
            attrs = {"infeasible": True} if infeasible else {}
            state = TrialState.FAIL if failed else TrialState.COMPLETE
            history.append(recorded({"m/x": x}, None if failed else [10 - x], state, **attrs))
        return [
            propose(history, domains, sampler="tpe", seed=0, number=n, startup_trials=3).params["m/x"]
            for n in range(30, 50)
        ]

    assert sum(x > 5.5 for x in proposals(True)) < sum(x > 5.5 for x in proposals(False))


def test_nsga_ii_breeds_from_its_generations() -> None:
    """Two objectives in conflict along x; y only hurts: later generations have a smaller y."""
    domains: dict[str, Domain] = {"m/x": Float(0.0, 10.0), "m/lr": Float(0.0, 10.0)}
    history: list[FrozenTrial] = []
    for number in range(80):
        proposal = propose(
            history, domains, sampler="nsga-ii", seed=0, number=number, startup_trials=3, objectives=2
        )
        x, y = proposal.params["m/x"], proposal.params["m/lr"]
        assert list(proposal.attributes) == ["NSGAIISampler:generation"]
        history.append(
            create_trial(
                values=[x + y, 10 - x + y],
                params=proposal.params,
                distributions={name: domain.distribution() for name, domain in domains.items()},
                system_attrs=proposal.attributes,
            )
        )
    generations = [trial.system_attrs["NSGAIISampler:generation"] for trial in history]
    assert generations == sorted(generations)
    assert max(generations) >= 3
    height = [trial.params["m/lr"] for trial in history]
    assert np.mean(height[-16:]) < 0.7 * np.mean(height[:16])


def test_quasi_random_points_fill_the_space() -> None:
    domains = {"m/x": Float(0.0, 1.0), "m/n": Integer(1, 4)}
    points = []
    for number in range(16):
        history = [None] * number  # only their number counts
        points.append(
            propose(history, domains, sampler="quasi-random", seed=3, number=7, startup_trials=3).params  # type: ignore[arg-type]
        )
    cells = {(int(point["m/x"] * 4), point["m/n"]) for point in points}
    assert cells == set(product(range(4), range(1, 5)))


def test_a_grid_has_every_combination_once() -> None:
    domains = {"a": Integer(2, 6, step=2), "b": Choice(("x", None)), "c": Float(0.0, 0.3, step=0.1)}
    points = [tuple(grid_point(domains, index).values()) for index in range(int(grid_size(domains)))]
    assert points == list(product((2, 4, 6), ("x", None), (0.0, 0.1, 0.2, 0.3)))
    with pytest.raises(IndexError, match="expected below 24, got 24"):
        grid_point(domains, 24)


@pytest.mark.parametrize("domain", [*DOMAINS.values(), Integer(1, 1000, log=True), Float(0, 1, step=0.25)])
def test_a_value_has_its_place_in_the_unit_cube(domain: Domain) -> None:
    for u in np.linspace(0, 1, 50, endpoint=False):
        value = value_at(domain, float(u))
        assert value in domain
        assert value_at(domain, position(domain, value)) == pytest.approx(value) or value == "adaptive"
