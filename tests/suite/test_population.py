"""Population based training: generations, copied weights, schedules, and that nothing of it can be lost."""

import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from suite_fixtures import small_space
from toy_spaces import load

from crystalformer.training.config import CHANGEABLE
from suite.assignment import Assignment, Membership, Stretch
from suite.experiment import Experiment
from suite.population import Paused, PopulationLedger, next_generation
from suite.prepare import prepare_data
from suite.sampling.explore import explored
from suite.space.search_space import SpaceError, load_space
from suite.tasks import final_jobs, forget_pauses, trial_task
from suite.trial import TrialRun
from suite.trial_task import paused_state

ROOT = Path(__file__).resolve().parents[2]
TARGET = "log10_K_VRH"
POPULATION = {
    "models": {"cgcnn": {"node_width": {"choices": [8, 12]}, "hidden_width": 16}},
    "train": {
        "batch_size": 8,
        "swa_epochs": 2,
        "lr": {"float": [1.0e-4, 1.0e-1], "log": True},
        "weight_decay": {"float": [1.0e-6, 1.0e-2], "log": True},
    },
    "search": {"scheduler": "pbt", "perturb_every": 2, "quantile": 0.5},
    "budget": {"trials": 4, "epochs": 5},
    "final": {"seeds": [0], "floors": False},
}


def opened(folder: Path, *overrides: str) -> Experiment:
    space = load_space(small_space(folder, **POPULATION), overrides)
    return Experiment.open(folder / "runs", space, prepare_data(space, folder / "data"), "command", False)


def train(experiment: Experiment, stretches: int | None = None) -> None:
    """Trains the next stretches, all of them if None, one after the other in this process."""
    ledger = experiment.ledgers[TARGET]
    while stretches != 0 and (given := ledger.next()) is not None:
        train_one(experiment, given)
        stretches = None if stretches is None else stretches - 1


def train_one(experiment: Experiment, given: Assignment) -> None:
    ledger, task = experiment.ledgers[TARGET], trial_task(experiment, TARGET, given)
    run = TrialRun(task)
    while not run.trainer.finished or run._again is not None:
        record = run.step()
        ledger.report(given.number, record.epoch, record.val_mae, run.seconds)
    run.close()
    if record.epoch == task.train_config["epochs"]:
        config = json.dumps(task.resolved_config())
        known = {"epochs": record.epoch, "val_mae": record.val_mae, "config": config, "recipe": task.recipe}
        ledger.finish(given.number, "complete", "trained", known)


def outcome(experiment: Experiment) -> pd.DataFrame:
    return pd.DataFrame(experiment.rows()).drop(columns="seconds")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As a trial on one core: sums in another order would be other numbers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@pytest.mark.timeout(900)
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
