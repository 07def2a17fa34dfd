"""Population based training: copied weights, schedules, and that nothing of it can be lost."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from populations import POPULATION, TARGET, opened, outcome, train
from safetensors.torch import load_file
from suite_fixtures import small_space

from suite.assignment import Assignment
from suite.population import PopulationLedger
from suite.tasks import final_jobs, forget_pauses, trial_task
from suite.trial import TrialRun
from suite.trial_task import paused_state

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a population trained to its end, its pauses kept."""
    folder = tmp_path_factory.mktemp("population")
    with opened(folder) as experiment:
        train(experiment)
        outcome(experiment).to_pickle(folder / "outcome.pkl")
    return folder


def expected(undisturbed: Path) -> pd.DataFrame:
    return pd.read_pickle(undisturbed / "outcome.pkl")


def schedules(frame: pd.DataFrame) -> dict[str, list[dict]]:
    return {row.trial_id: json.loads(row.schedule) for row in frame.itertuples()}


def test_every_member_has_a_schedule_and_some_have_copied(undisturbed: Path) -> None:
    frame = expected(undisturbed)
    assert frame["state"].tolist() == ["complete"] * 4
    assert frame["epochs"].tolist() == [5] * 4
    for trial_id, stretches in schedules(frame).items():
        assert stretches[0]["epoch"] == 0
        assert [s["epoch"] for s in stretches] == sorted({s["epoch"] for s in stretches})
        assert {s["epoch"] for s in stretches} <= {0, 2, 4}
        assert len({s["node_width"] for s in stretches}) == 1  # goes with the weights
        assert stretches[-1]["by"] == trial_id or len({s["by"] for s in stretches}) == 1
        row = frame[frame["trial_id"] == trial_id].iloc[0]
        assert (row["cgcnn/lr"], row["cgcnn/weight_decay"]) == (
            stretches[-1]["lr"],
            stretches[-1]["weight_decay"],
        )
    copied = [s for s in schedules(frame).values() if len({stretch["by"] for stretch in s}) > 1]
    assert len(copied) >= 2


def test_a_copy_has_weights_averages_and_optimiser_of_the_better_member(tmp_path: Path) -> None:
    with opened(tmp_path) as experiment:
        ledger = experiment.ledgers[TARGET]
        train(experiment, 4)  # to the first pause
        given = [ledger.next() for _ in range(4)]
        copies = [
            trial for trial in given if trial and trial.member and trial.member.source != trial.trial_id
        ]
        assert len(copies) == 2
        errors = {row["trial_id"]: row["val_mae"] for row in experiment.rows()}
        copy = copies[0]
        assert copy.member is not None
        assert copy.member.source is not None
        assert errors[copy.member.source] < errors[copy.trial_id]
        state = load_file(paused_state(tmp_path / "runs/small/trials" / copy.member.source, 2))
        run = TrialRun(trial_task(experiment, TARGET, copy))
        assert run.trainer.epoch == 2
        for name, tensor in run.trainer.model.state_dict().items():
            torch.testing.assert_close(tensor, state[f"model/{name}"], rtol=0, atol=0)
        moments = run.trainer.optimizer.state_dict()["state"]
        for index, entries in moments.items():
            for key, tensor in entries.items():
                torch.testing.assert_close(tensor, state[f"optimizer/{index}/{key}"], rtol=0, atol=0)
        run.step()  # the pause's own record, once more
        run.step()
        values = {group["weight_decay"] for group in run.trainer.optimizer.param_groups}
        assert values == {0.0, copy.params["weight_decay"]}
        assert run.trainer.config.lr == copy.params["lr"]
        run.close()
        curve = pd.read_csv(tmp_path / f"runs/small/trials/{copy.trial_id}/curve.csv")
        assert curve["epoch"].tolist() == [1, 2, 3]  # nothing was trained again


def test_following_a_schedule_from_the_beginning_gives_the_member_again(
    undisturbed: Path, tmp_path: Path
) -> None:
    """Bit for bit: so the final stage trains what won, and a lost state costs time alone."""
    frame = expected(undisturbed)
    with opened(undisturbed) as experiment:
        longest = max(frame.itertuples(), key=lambda row: len(json.loads(row.schedule)))
        given = experiment.ledgers[TARGET].assignment(longest.number)
        task = replace(
            trial_task(experiment, TARGET, given), source=None, until=None, folder=str(tmp_path / "again")
        )
        assert [change["epoch"] for change in task.schedule] == [2, 4]
        assert len({change["lr"] for change in task.schedule}) == 2
        run = TrialRun(task)
        while not run.trainer.finished:
            record = run.step()
        run.close()
        assert record.val_mae == longest.val_mae

        (job,) = final_jobs(experiment)
        winner = frame.loc[frame["val_mae"].idxmin()]
        assert job.selected_from == {"trial_id": winner["trial_id"], "val_mae": winner["val_mae"]}
        assert job.task.schedule == json.loads(winner["config"]).get("schedule", [])
        assert (job.task.source, job.task.until) == (None, None)
        assert any(
            "a result is a schedule, not a configuration" in note for note in experiment.record["notes"]
        )


def test_broken_off_anywhere_it_goes_on_to_the_same_end(undisturbed: Path, tmp_path: Path) -> None:
    for stretches in (1, 4, 3, None):
        with opened(tmp_path) as experiment:
            train(experiment, stretches)
            given = experiment.ledgers[TARGET].next()
            if given is not None:  # begun, and killed in the middle
                run = TrialRun(trial_task(experiment, TARGET, given))
                run.step()
                run.close()
        for path in (tmp_path / "runs/small/trials").glob("t000[01]/paused-0002*"):
            path.unlink()  # lost: its weights are trained again
    with opened(tmp_path) as experiment:
        pd.testing.assert_frame_equal(outcome(experiment), expected(undisturbed))
        assert not experiment.ledgers[TARGET].work_left()
        forget_pauses(experiment)
    assert not list((tmp_path / "runs/small/trials").glob("*/paused-*"))


def test_decisions_that_were_half_written_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite = PopulationLedger._rewrite

    def killed(self: PopulationLedger, assignment: Assignment) -> None:
        if assignment.number == 2:
            raise KeyboardInterrupt
        rewrite(self, assignment)

    with opened(tmp_path) as experiment:
        train(experiment, 4)
        with monkeypatch.context() as patch:
            patch.setattr(PopulationLedger, "_rewrite", killed)
            with pytest.raises(KeyboardInterrupt):
                train(experiment, 1)
    with opened(tmp_path) as experiment:
        given = experiment.ledgers[TARGET].given
        assert {trial.member.until for trial in given if trial.member} == {4}
        assert sum(trial.member.source != trial.trial_id for trial in given if trial.member) == 2
        assert [experiment.ledgers[TARGET].next() for _ in range(4)] == given


def test_an_end_that_was_not_recorded_is_recorded(tmp_path: Path) -> None:
    with opened(tmp_path, "budget.trials=2", "search.perturb_every=4") as experiment:
        ledger = experiment.ledgers[TARGET]
        train(experiment, 2)
        last = ledger.next()
        assert last is not None
        ledger.report(last.number, 5, 0.3)  # and killed before its end
    with opened(tmp_path, "budget.trials=2", "search.perturb_every=4") as experiment:
        train(experiment)
        assert [row["state"] for row in experiment.rows()] == ["complete"] * 2


def test_a_budget_ends_all_members_and_the_final_stage_follows_what_there_is(tmp_path: Path) -> None:
    with opened(tmp_path, "budget.total_epochs=11") as experiment:
        ledger = experiment.ledgers[TARGET]
        train(experiment)
        ledger.close_if_used_up()
        assert [row["state"] for row in experiment.rows()] == ["stopped"] * 4
        assert "epochs in all was used up" in experiment.rows()[0]["ended"]
        (job,) = final_jobs(experiment)
        assert job.task.train_config["epochs"] == 5


def test_a_member_that_fails_is_out_and_the_others_go_on(tmp_path: Path) -> None:
    with opened(tmp_path) as experiment:
        ledger = experiment.ledgers[TARGET]
        train(experiment, 3)
        last = ledger.next()
        assert last is not None
        ledger.finish(last.number, "failed", "diverged", {"infeasible": True})
        following = [ledger.next() for _ in range(4)]
        assert [trial.number for trial in following if trial] == [0, 1, 2]
        assert (
            sum(trial.member.source != trial.trial_id for trial in following if trial and trial.member) == 1
        )


@pytest.mark.long
def test_the_command_killed_and_with_two_at_a_time_comes_to_the_same_end(
    undisturbed: Path, tmp_path: Path, search_command: Callable[..., list[str]]
) -> None:
    small_space(tmp_path, **POPULATION)
    command = search_command(tmp_path, "--set", "search.concurrent=2")
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    trials, end = tmp_path / "runs/small/trials", time.monotonic() + 400
    try:
        while not list(trials.glob("*/paused-0002*")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=450)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a result is a schedule, not a configuration" in done.stdout
    found = pd.read_parquet(tmp_path / "runs/small/trials.parquet")
    for column in ("trial_id", "val_mae", "schedule", "config", "cgcnn/lr"):
        assert found[column].tolist() == expected(undisturbed)[column].tolist(), column
    (record,) = [json.loads(path.read_text()) for path in tmp_path.glob("runs/small/final/*/run.json")]
    best = found.loc[found["val_mae"].idxmin()]
    assert record["config"].get("schedule", []) == json.loads(best["config"]).get("schedule", [])
    assert record["metrics"]["val"]["mae"] == pytest.approx(best["val_mae"], rel=1e-6)
    assert not list(trials.glob("*/paused-*"))
