"""Which final runs an experiment stands for, as its trials and settings change; states are set by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from suite_fixtures import small_space

from suite.experiment import Experiment
from suite.final import FinalJob
from suite.prepare import prepare_data
from suite.search_record import ExperimentError
from suite.space.search_space import load_space
from suite.tasks import arrange_final_runs, final_jobs, trial_task

OVERRIDES = ("models={cgcnn: {node_width: 8}}", "final.seeds=[0]", "final.floors=false")


def opened(folder: Path, *overrides: str, fresh: bool = False) -> Experiment:
    space = load_space(small_space(folder), (*OVERRIDES, *overrides))
    return Experiment.open(folder / "runs", space, prepare_data(space, folder / "data"), "command", fresh)


def search(experiment: Experiment, errors: list[float | None]) -> None:
    """Give the next trials these errors; None fails."""
    ledger = experiment.ledgers["log10_K_VRH"]
    for error in errors:
        trial = ledger.next()
        assert trial is not None
        if error is None:
            ledger.finish(trial.number, "failed", "out of memory", {})
        else:
            ledger.finish(trial.number, "complete", "done", {"epochs": 4, "val_mae": error})


def carry_out(jobs: list[FinalJob]) -> None:
    """Write what a final run leaves, without training."""
    for job in jobs:
        if job.finished:
            continue
        job.folder.mkdir(parents=True)
        chosen = {"rank": job.rank, "selected_from": job.selected_from}
        record = {"status": "complete", "run_id": job.task.run_id, **chosen}
        (job.folder / "run.json").write_text(json.dumps(record))
        (job.folder / "curve.csv").write_text("epoch\n")
        (job.folder / "model.safetensors").write_bytes(b"weights")
        pd.DataFrame({"y_true": [1.0]}).to_parquet(job.folder / "predictions.parquet")


def present(experiment: Experiment) -> dict[str, dict]:
    return {
        path.parent.name: json.loads(path.read_text())
        for path in (experiment.folder / "final").glob("[!.]*/run.json")
    }


def test_a_better_trial_supersedes_a_final_run_and_nothing_is_lost(tmp_path: Path) -> None:
    with opened(tmp_path) as experiment:
        search(experiment, [0.3, 0.2])
        jobs = final_jobs(experiment)
        carry_out(jobs)
        assert [job.selected_from["trial_id"] for job in jobs] == ["t0001"]

        search(experiment, [0.1])
        better = final_jobs(experiment)
        arrange_final_runs(experiment, better)
        assert present(experiment) == {}
        assert (experiment.folder / "final/.superseded" / jobs[0].task.run_id).exists()
        carry_out(better)
        assert {record["selected_from"]["trial_id"] for record in present(experiment).values()} == {"t0002"}


def test_an_earlier_run_comes_back_with_its_present_rank(tmp_path: Path) -> None:
    with opened(tmp_path) as experiment:
        search(experiment, [0.3])
        carry_out(final_jobs(experiment))
        search(experiment, [0.2])
        arrange_final_runs(experiment, final_jobs(experiment))
        carry_out(final_jobs(experiment))
    with opened(tmp_path, "final.top=2") as experiment:
        jobs = final_jobs(experiment)
        arrange_final_runs(experiment, jobs)
        assert all(job.finished for job in jobs)
        ranks = {
            record["selected_from"]["trial_id"]: record["rank"] for record in present(experiment).values()
        }
        assert ranks == {"t0001": 1, "t0000": 2}


def test_changed_seeds_are_the_seeds(tmp_path: Path) -> None:
    with opened(tmp_path) as experiment:
        search(experiment, [0.3])
        carry_out(final_jobs(experiment))
    with opened(tmp_path, "final.seeds=[5]") as experiment:
        jobs = final_jobs(experiment)
        arrange_final_runs(experiment, jobs)
        assert [job.task.seed for job in jobs] == [5]
        assert not jobs[0].finished
        assert present(experiment) == {}


def test_equal_configurations_count_once(tmp_path: Path) -> None:
    with opened(tmp_path, "train.lr=0.001", "final.top=2") as experiment:
        search(experiment, [0.3, 0.2, 0.1])  # nothing is searched: trials differ by seed alone
        jobs = final_jobs(experiment)
        assert [(job.rank, job.selected_from["trial_id"]) for job in jobs] == [(1, "t0002")]


@pytest.mark.parametrize("name", ["run.json", "predictions.parquet", "curve.csv", "model.safetensors"])
def test_a_damaged_final_run_is_not_finished(tmp_path: Path, name: str) -> None:
    with opened(tmp_path) as experiment:
        search(experiment, [0.3])
        (job,) = final_jobs(experiment)
        carry_out([job])
        assert job.finished
        (job.folder / name).unlink()
        assert not job.finished
        for content in (b"{", b"[]", b""):
            if name in ("run.json", "predictions.parquet"):
                (job.folder / name).write_bytes(content)
                assert not job.finished
        other = replace(job, task=replace(job.task, run_id="other"))
        assert not other.finished


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("search.json", "{"),
        ("search.json", "{}"),
        ("search.json", "[1]"),
        ("study.db", "not a database, not at all a database"),
    ],
)
def test_a_damaged_experiment_is_refused_in_one_message(tmp_path: Path, name: str, content: str) -> None:
    with opened(tmp_path) as experiment:
        search(experiment, [0.3])
    (tmp_path / "runs/small" / name).write_text(content)
    with pytest.raises(ExperimentError, match=rf"{name}: expected .*--fresh"):
        opened(tmp_path)
    with opened(tmp_path, fresh=True) as experiment:  # and that helps
        assert experiment.rows() == []


def test_what_differs_is_named(tmp_path: Path) -> None:
    opened(tmp_path).__exit__(None)
    with opened(tmp_path, "search.seed=7") as experiment:
        assert "the search space changed, search.seed was 0 and is 7:" in experiment.record["notes"][-1]
    (tmp_path / "runs/small").rename(tmp_path / "runs/renamed")
    with pytest.raises(ExperimentError, match='name was "small" and is "renamed": choose another --name'):
        opened(tmp_path, "name=renamed")


def test_how_a_session_ended_is_recorded(tmp_path: Path) -> None:
    def status() -> str:
        return json.loads((tmp_path / "runs/small/search.json").read_text())["status"]

    for error, expected in ((KeyboardInterrupt(), "interrupted"), (RuntimeError("disk"), "failed")):
        experiment = opened(tmp_path)
        assert status() == "running"
        experiment.__exit__(type(error), error, None)
        assert status() == expected


def test_searching_alone_counts_for_the_hours(tmp_path: Path) -> None:
    with opened(tmp_path) as experiment:
        with experiment.searching():
            pass
        experiment.update()
        assert experiment.record["search_seconds"] < experiment.record["seconds"]
        before = experiment.record["search_seconds"]
        experiment.update()
        assert experiment.record["search_seconds"] == before


def test_a_searched_recipe_is_named_with_trials_and_final_runs(tmp_path: Path) -> None:
    models = "models={cgcnn: {node_width: 8, recipe: {choices: [published, common]}}}"
    with opened(tmp_path, models, "budget.epochs=30") as experiment:
        ledger = experiment.ledgers["log10_K_VRH"]
        trial = ledger.next()
        assert trial is not None
        task = trial_task(experiment, "log10_K_VRH", trial)
        assert task.recipe == "published"
        assert (task.train_config["optimizer"], task.train_config["epochs"]) == ("sgd", 30)
        assert task.hparams["cgcnn/recipe"] == "published"
        ledger.finish(trial.number, "complete", "done", {"epochs": 30, "val_mae": 0.1})
        assert [row["recipe"] for row in ledger.rows("log10_K_VRH")] == ["published"]
        assert [job.task.recipe for job in final_jobs(experiment)] == ["published"]
