"""The stages of an experiment: search, final runs, report. Each does only what is not done yet."""

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from suite.experiment import Experiment
from suite.final import FinalJob, run_id
from suite.ledger import Assignment, ranked
from suite.models import MODELS
from suite.progress import Watcher
from suite.tensorboard_log import hparam_cells, write_columns
from suite.trial import TrialTask


class ReportError(RuntimeError):
    """The report could not be built; the results are there."""


class NoUsableTrial(RuntimeError):
    """No trial of any model came to an end that the final stage could start from."""


def run_stages(experiment: Experiment, watcher: Watcher, address: str | None) -> None:
    """Search and final runs, in one Ray session that is only started if something is left to do."""
    searching = [target for target, ledger in experiment.ledgers.items() if ledger.work_left()]
    if not searching and all(job.finished for job in final_jobs(experiment)):
        return
    from suite.ray_driver.driver import session

    write_columns(
        experiment.folder / "tensorboard", _domains(experiment), next(iter(experiment.data.units.values()))
    )
    with session(experiment.space, address) as resources:
        for target in searching:
            _search(experiment, target, watcher, resources)
        _finals(experiment, watcher, resources)


def build_report(experiment: Experiment) -> Path:
    """Run `python -m reports` on the experiment's folder; its first page.

    Raises:
        ReportError: with what the command said.
    """
    run = os.path.relpath(experiment.folder)  # the page shows the path it was given
    if run.startswith(os.pardir):
        run = str(experiment.folder)
    command = [sys.executable, "-m", "reports", run]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ReportError(f"python -m reports {experiment.folder}: {said[-1] if said else 'no message'}")
    return experiment.folder / "report" / "index.html"


def final_jobs(experiment: Experiment) -> list[FinalJob]:
    """The final runs of an experiment as its trials stand now: the best of each model, over the seeds."""
    jobs: dict[str, FinalJob] = {}
    space = experiment.space
    for target, ledger in experiment.ledgers.items():
        rows = ledger.rows(target)
        for key in space.models:
            for rank, row in enumerate(ranked(rows, key)[: space.final.top], start=1):
                params = ledger.assignment(row["number"]).params
                model_config, train_config = space.resolve(key, params, epochs=space.final.epochs)
                config = {"model": asdict(model_config), "train": asdict(train_config)}
                for seed in space.final.seeds:
                    name = run_id(key, experiment.data.store.name, target, seed, config)
                    task = _task(experiment, target, key, config, seed, name, f"final/.{name}", {})
                    selected = {"trial_id": row["trial_id"], "val_mae": row["val_mae"]}
                    jobs.setdefault(name, _job(experiment, task, selected, rank))
    return list(jobs.values())


def _search(experiment: Experiment, target: str, watcher: Watcher, resources: dict[str, float]) -> None:
    from suite.ray_driver.driver import run_search

    ledger = experiment.ledgers[target]
    done = sum(row["state"] != "running" for row in ledger.rows(target))
    watcher.phase(f"Search: {target}", experiment.space.budget.trials, done)

    def make_task(assignment: Assignment) -> TrialTask:
        experiment.write_trials()
        return _trial_task(experiment, target, assignment)

    try:
        run_search(ledger, make_task, watcher, resources)
    finally:
        experiment.write_trials(now=True)
    for row in ledger.rows(target):
        if row["state"] == "failed":
            experiment.fail({"trial_id": row["trial_id"], "model": row["model"], "reason": row["ended"]})


def _finals(experiment: Experiment, watcher: Watcher, resources: dict[str, float]) -> None:
    from suite.ray_driver.driver import run_finals

    jobs = final_jobs(experiment)
    if not jobs:
        raise NoUsableTrial(
            f"every trial failed; {experiment.folder / 'trials.parquet'} says why, "
            "trials/*/error.txt in full: mend the cause and begin anew with --fresh"
        )
    missing = set(experiment.space.models) - {job.task.model for job in jobs}
    for key in sorted(missing):
        experiment.fail({"model": key, "reason": "no trial of this model came to a usable end"})
    watcher.phase("Final runs", len(jobs), sum(job.finished for job in jobs))
    for job, reason in run_finals(jobs, experiment.space, watcher, resources):
        experiment.fail({"run_id": job.task.run_id, "model": job.task.model, "reason": reason})


def _trial_task(experiment: Experiment, target: str, assignment: Assignment) -> TrialTask:
    model_config, train_config = experiment.space.resolve(assignment.model, assignment.params)
    config = {"model": asdict(model_config), "train": asdict(train_config)}
    domains = experiment.space.models[assignment.model].domains
    cells = hparam_cells(assignment.model, assignment.params, domains)
    folder = f"trials/{assignment.trial_id}"
    return _task(
        experiment, target, assignment.model, config, assignment.seed, assignment.trial_id, folder, cells
    )


def _task(
    experiment: Experiment,
    target: str,
    model: str,
    config: dict,
    seed: int,
    name: str,
    folder: str,
    hparams: dict,
) -> TrialTask:
    data = experiment.data
    log = f"final/{name}" if folder.startswith("final/") else f"{name}-{model}"
    return TrialTask(
        run_id=name,
        model=model,
        model_config=config["model"],
        train_config=config["train"],
        recipe=experiment.space.models[model].recipe,
        seed=seed,
        target=target,
        unit=data.units[target],
        store=str(data.store.path.resolve()),
        split=data.splits[target].hash,
        folder=str(experiment.folder / folder),
        cache=str(data.store.path.resolve() / "cache"),
        tensorboard=str(experiment.folder / "tensorboard" / log),
        hparams=hparams,
    )


def _job(experiment: Experiment, task: TrialTask, selected: dict, rank: int) -> FinalJob:
    entry = MODELS[task.model]
    return FinalJob(task, entry.label, entry.paper, experiment.data.store.name, selected, rank)


def _domains(experiment: Experiment) -> dict:
    return {
        f"{key}/{name}": domain
        for key, model in experiment.space.models.items()
        for name, domain in model.domains.items()
    }
