"""What Ray Tune and Optuna would do by themselves, and must not do here."""

import pickle
import re
import warnings
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hand_driven_search import Search
from optuna.trial import TrialState, create_trial
from toy_spaces import MINIMAL, load
from trial_tasks import task_of

from suite.ray_driver.actor import TrialActor
from suite.sampling.propose import propose
from suite.space.domains import Choice, Domain, Float, Integer

DOMAINS: dict[str, Domain] = {
    "m/lr": Float(1e-4, 1e-1, log=True),
    "m/n": Integer(1, 8),
    "m/kind": Choice((1, 2, "adaptive")),
}


def test_tune_may_pickle_searcher_and_scheduler_and_finds_nothing_in_them(tmp_path: Path) -> None:
    search = Search(tmp_path)
    search.start("tune0")
    for part in (search.searcher, search.scheduler):
        assert len(pickle.dumps(part)) < 500


@pytest.mark.parametrize("sampler", ["tpe", "random", "quasi-random", "gp", "cma-es", "nsga-ii"])
def test_no_sampler_uses_what_will_be_gone(sampler: str) -> None:
    """Optuna's deprecations are FutureWarnings, those of experimental features warnings of its own."""
    objectives = 2 if sampler == "nsga-ii" else 1
    history = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(7):
            proposal = propose(
                history, DOMAINS, sampler=sampler, seed=0, number=number, startup_trials=3,
                objectives=objectives,
            )  # fmt: skip
            failed = number == 2
            history.append(
                create_trial(
                    state=TrialState.FAIL if failed else TrialState.COMPLETE,
                    values=None if failed else [float(number)] * objectives,
                    params=proposal.params,
                    distributions={name: domain.distribution() for name, domain in DOMAINS.items()},
                    user_attrs={"infeasible": True} if failed else {},
                    system_attrs=proposal.attributes,
                )
            )


def test_no_more_trials_run_at_a_time_than_were_asked_for(finished: Path) -> None:
    running, most = set(), 0
    for line in (finished / "output.txt").read_text().splitlines():
        if found := re.match(r"\[.*\] (t\d+) \w+: (started|complete|stopped|failed)", line):
            trial, event = found.groups()
            (running.add if event == "started" else running.discard)(trial)
            most = max(most, len(running))
    assert most == 2
    assert not running


def test_a_searched_average_that_early_stopping_cannot_see_is_noted(tmp_path: Path) -> None:
    text = MINIMAL.replace("{toy: {}}", "{toy: {swa_epochs: {choices: [0, 2]}}}")
    (note,) = [note for note in load(tmp_path, text).notes if "is searched, but" in note]
    assert note == (
        "toy: swa_epochs is searched, but asha stops trials before their last epochs, which are averaged: "
        "compare val_mae with val_mae_raw of the same trial"
    )
    assert not [note for note in load(tmp_path, text, "search.scheduler=none").notes if "asha" in note]


@pytest.mark.parametrize(("cpu", "processes", "threads"), [(3, 1, 3), (4, 2, 2), (0.5, 1, 1)])
def test_a_worker_computes_with_its_share_of_the_cores(
    tmp_path: Path, cpu: float, processes: int, threads: int
) -> None:
    before = torch.get_num_threads()
    config = {"task": asdict(task_of(tmp_path, "cgcnn")), "cpu": cpu, "gpu": 0, "processes": processes}
    try:
        TrialActor({**config, "passes": None}).cleanup()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
