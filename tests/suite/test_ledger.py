"""The record of a search: who is next, what happened, and that a new session sees the same."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from suite_fixtures import small_space

from suite.ledger import TrialLedger
from suite.space.search_space import load_space
from suite.storage import open_storage
from suite.storage_url import DEFAULT
from suite.trial_record import Curve
from suite.trial_table import ranked

RESULT = {"epochs": 4, "val_mae": 0.2, "val_mae_raw": 0.21, "seconds": 3.0, "parameters": 17}


def ledger_of(folder: Path, **kwargs: object) -> TrialLedger:
    space = load_space(small_space(folder), overrides=kwargs.pop("overrides", ()))  # type: ignore[arg-type]
    return TrialLedger(open_storage(DEFAULT, folder), "study", space, **kwargs)  # type: ignore[arg-type]


def test_models_are_dealt_in_turn_and_published_configurations_first(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path)
    given = [ledger.next() for _ in range(7)]
    assert given[6] is None
    trials = [trial for trial in given if trial is not None]
    assert [trial.model for trial in trials] == ["crystalformer", "cgcnn"] * 3
    assert [trial.trial_id for trial in trials] == [f"t{n:04d}" for n in range(6)]
    assert trials[0].params == {"num_layers": 2, "lattice_range": "adaptive", "swa_epochs": 1, "lr": 5e-4}
    assert trials[1].params == {"lr": 2e-3}  # the published 0.01, clipped
    assert trials[2].params != trials[4].params


def test_the_budget_counts_all_trials_and_can_be_extended(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path)
    while ledger.next():
        pass
    for number in range(6):
        ledger.finish(number, "complete", "done", RESULT)
    assert not ledger_of(tmp_path).work_left()
    longer = ledger_of(tmp_path, overrides=("budget.trials=8",))
    assert longer.work_left()
    assert longer.next().number == 6  # type: ignore[union-attr]


def test_a_new_session_hands_out_the_unfinished_first_and_nothing_twice(tmp_path: Path) -> None:
    first = ledger_of(tmp_path)
    trials = [first.next() for _ in range(3)]
    first.report(0, 1, 0.5)
    first.finish(1, "stopped", "ASHA", RESULT | {"epochs": 1})

    second = ledger_of(tmp_path)
    assert [second.next() for _ in range(2)] == [trials[0], trials[2]]
    assert second.next().number == 3  # type: ignore[union-attr]
    states = [row["state"] for row in second.rows("y")]
    assert states == ["running", "stopped", "running", "running"]


def test_a_continued_search_proposes_what_the_uninterrupted_one_does(tmp_path: Path) -> None:
    def run(folder: Path, restart_every: int) -> list[dict]:
        folder.mkdir()
        ledger, proposals = ledger_of(folder), []
        for number in range(6):
            if number and number % restart_every == 0:
                ledger = ledger_of(folder)
            trial = ledger.next()
            assert trial is not None
            proposals.append(trial.params)
            ledger.finish(number, "complete", "done", RESULT | {"val_mae": 0.1 * (number + 1)})
        return proposals

    assert run(tmp_path / "a", 100) == run(tmp_path / "b", 2)


@pytest.mark.parametrize(
    ("state", "optuna_state"),
    [("complete", TrialState.COMPLETE), ("stopped", TrialState.PRUNED), ("failed", TrialState.FAIL)],
)
def test_the_study_knows_how_a_trial_ended(tmp_path: Path, state: str, optuna_state: TrialState) -> None:
    ledger = ledger_of(tmp_path)
    ledger.next()
    ledger.report(0, 1, 0.4)
    assert ledger.rows("y")[0]["finished"] is None
    before = datetime.now(UTC)
    ledger.finish(0, state, "the reason", RESULT | {"epochs": 2})
    after = datetime.now(UTC)
    trial = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/study.db").trials[0]
    assert trial.state == optuna_state
    assert trial.intermediate_values == ({1: 0.4} if state == "failed" else {1: 0.4, 2: 0.2})
    assert trial.user_attrs["result"]["ended"] == "the reason"
    again = ledger_of(tmp_path)
    assert again.trials() == ledger.trials()
    row = ledger.rows("y")[0]
    assert (row["state"], row["ended"], row["target"]) == (state, "the reason", "y")
    assert before <= datetime.fromisoformat(row["finished"]) + timedelta(milliseconds=1)
    assert datetime.fromisoformat(row["finished"]) <= after
    assert row["epochs"] == 2
    assert math.isnan(row["val_mae"]) if state == "failed" else row["val_mae"] == 0.2


def test_a_repeated_epoch_replaces_the_earlier_value(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path)
    ledger.next()
    ledger.report(0, 1, 0.4)
    ledger.report(0, 1, 0.4)
    ledger.report(0, 2, math.nan)
    assert list(ledger.trials()[0].curve) == [(1, 0.4)]


def test_a_value_that_is_no_number_cannot_be_a_result(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path)
    ledger.next()
    for state in ("complete", "stopped"):
        with pytest.raises(ValueError, match="needs a finite val_mae, got nan"):
            ledger.finish(0, state, "x", {"epochs": 1, "val_mae": math.nan})
    ledger.finish(0, "failed", "diverged", {"epochs": 1, "val_mae": math.nan})
    assert ledger.trials()[0].state == "failed"


def test_hours_end_a_search_across_sessions(tmp_path: Path) -> None:
    overrides = ("budget.hours=1",)
    early = ledger_of(tmp_path, overrides=overrides, searched_s=lambda: 3599.0)
    assert early.work_left()
    early.next(), early.next()

    def curve_of(trial_id: str) -> Curve:
        return Curve([0.5, 0.4] if trial_id == "t0000" else [])

    late = ledger_of(tmp_path, overrides=overrides, searched_s=lambda: 3601.0, curve_of=curve_of)
    assert late.used_up() == "the budget of 1 h was used up"
    late.close_if_used_up()
    assert not late.work_left()
    assert late.next() is None
    rows = late.rows("y")
    assert [(row["state"], row["epochs"]) for row in rows] == [("stopped", 2), ("failed", 0)]
    assert rows[0]["val_mae"] == 0.4
    assert "budget of 1 h was used up" in rows[1]["ended"]


def test_one_models_trials_do_not_move_anothers_proposals(tmp_path: Path) -> None:
    def fourth_of_crystalformer(folder: Path, cgcnn_error: float) -> dict:
        folder.mkdir()
        ledger = ledger_of(folder, overrides=("budget.trials=20", "search.sampler=tpe"))
        for number in range(18):
            trial = ledger.next()
            assert trial is not None
            value = cgcnn_error if trial.model == "cgcnn" else 0.1 + 0.01 * (number % 5)
            ledger.finish(number, "complete", "done", RESULT | {"val_mae": value})
        return ledger.next().params  # type: ignore[union-attr]

    assert fourth_of_crystalformer(tmp_path / "a", 0.001) == fourth_of_crystalformer(tmp_path / "b", 9.0)


def test_where_nothing_is_searched_trials_differ_by_seed(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, overrides=("train.lr=0.001",))
    trials = [ledger.next() for _ in range(6)]
    assert [t.seed for t in trials if t and t.model == "cgcnn"] == [0, 1, 2]
    assert [t.seed for t in trials if t and t.model == "crystalformer"] == [0, 0, 0]


def test_ranking_is_by_epochs_then_error_and_never_of_failed_trials() -> None:
    def row(number: int, state: str, epochs: int, value: float, model: str = "m") -> dict:
        return {"number": number, "state": state, "epochs": epochs, "val_mae": value, "model": model}

    rows = [
        row(0, "complete", 4, 0.3),
        row(1, "stopped", 1, 0.1),
        row(2, "complete", 4, 0.2),
        row(3, "failed", 4, math.nan),
        row(4, "running", 2, 0.01),
        row(5, "complete", 4, 0.05, "other"),
    ]
    assert [r["number"] for r in ranked(rows, "m")] == [2, 0, 1]
