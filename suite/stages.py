"""The stages of an experiment: search, final runs, report. Each does only what is not done yet."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from suite.assignment import Assignment
from suite.crystals import write_crystals
from suite.experiment import Experiment
from suite.final import FinalJob
from suite.progress import Watcher
from suite.ray_address import stay_on_loopback
from suite.tasks import arrange_final_runs, final_jobs, forget_pauses, searched_domains, trial_task
from suite.tensorboard_log import write_columns, write_pictures
from suite.trial_task import TrialTask

if TYPE_CHECKING:
    from suite.ray_driver.fractions import Fractions


PICTURES = ("parity", "elements")  # of a final run, as reports.final_pictures names its files


class ReportError(RuntimeError):
    """The report could not be built; the results are there."""


class NoUsableTrial(RuntimeError):
    """No trial of any model came to an end that the final stage could start from."""


def run_stages(experiment: Experiment, watcher: Watcher, address: str | None) -> list[str]:
    """Search and final runs, in one Ray session that is only started if something is left to do.

    Returns:
        What is missing in the end, in words: models without a usable trial, final runs that failed.

    Raises:
        NoUsableTrial: there is nothing that the final stage could start from.
    """
    for ledger in experiment.ledgers.values():
        ledger.close_if_used_up()
    searching = [target for target, ledger in experiment.ledgers.items() if ledger.work_left()]
    failed: dict[str, str] = {}
    if searching or any(not job.finished for job in final_jobs(experiment)):
        stay_on_loopback(address)
        from suite.ray_driver.driver import session

        unit = next(iter(experiment.data.units.values()))
        models = tuple(experiment.space.models)
        write_columns(experiment.folder / "tensorboard", models, searched_domains(experiment), unit)
        folders = [experiment.folder, experiment.data.store.path.parent]
        with session(experiment.space, address, folders) as fractions:
            for target in searching:
                _search(experiment, target, watcher, fractions)
            failed = _finals(experiment, watcher, fractions)
    forget_pauses(experiment)
    jobs = final_jobs(experiment)
    arrange_final_runs(experiment, jobs)
    if not jobs:
        experiment.update(failures=_failures(experiment, jobs, failed))
        raise NoUsableTrial(_why_nothing(experiment))
    failures = _failures(experiment, jobs, failed)
    experiment.update(failures=failures)
    return [
        f"{entry.get('run_id', entry['model'])}: {entry['reason']}"
        for entry in failures
        if "trial_id" not in entry
    ]


def build_report(experiment: Experiment) -> Path:
    """Have the report built, of which the first page is returned, and the pictures of the final runs drawn,
    which go into TensorBoard beside their curves. The experiment's folder describes its crystals then.

    Raises:
        ReportError: with what the command said.
    """
    write_crystals(experiment.folder, experiment.data)
    run = os.path.relpath(experiment.folder)  # the page shows the path it was given
    if run.startswith(os.pardir):
        run = str(experiment.folder)
    command = ["-m", "reports.after_search", run]  # the suite imports no reports
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ReportError(f"{' '.join(['python', *command])}: {said[-1] if said else 'no message'}")
    for job in final_jobs(experiment):
        found = {title: job.folder / f"{title}.png" for title in PICTURES}
        there = {title: path for title, path in found.items() if path.is_file()}
        write_pictures(Path(job.task.tensorboard), there)
    return experiment.folder / "report" / "index.html"


def _search(experiment: Experiment, target: str, watcher: Watcher, fractions: "Fractions") -> None:
    from suite.ray_driver.driver import run_search

    ledger = experiment.ledgers[target]
    done = sum(row["state"] != "running" for row in ledger.rows(target))
    watcher.phase(f"Search: {target}", ledger.limit, done)

    def make_task(assignment: Assignment) -> TrialTask:
        return trial_task(experiment, target, assignment)

    with experiment.searching():
        run_search(ledger, make_task, watcher, fractions, experiment.write_trials)
        ledger.close_if_used_up()  # members of a population that were waiting for others


def _finals(experiment: Experiment, watcher: Watcher, fractions: "Fractions") -> dict[str, str]:
    """Do the final runs that are not done; gives run id -> reason of those that failed."""
    from suite.ray_driver.finals import run_finals

    jobs = final_jobs(experiment)
    arrange_final_runs(experiment, jobs)
    coming = [(job.task.model, job.task.train_config["epochs"]) for job in jobs if not job.finished]
    if jobs:
        watcher.phase("Final runs", len(jobs), len(jobs) - len(coming), coming)
    return run_finals(jobs, experiment.space, watcher, fractions)


def _failures(experiment: Experiment, jobs: list[FinalJob], failed: dict[str, str]) -> list[dict[str, str]]:
    """Everything that failed and is not mended: trials, models without a usable one, final runs."""
    found = [
        {"trial_id": row["trial_id"], "model": row["model"], "reason": row["ended"]}
        for row in experiment.rows()
        if row["state"] == "failed"
    ]
    for target in experiment.ledgers:
        with_jobs = {job.task.model for job in jobs if job.task.target == target}
        found += [
            {"model": model, "reason": f"no trial for {target} came to a usable end"}
            for model in experiment.space.models
            if model not in with_jobs
        ]
    return found + [
        {"run_id": job.task.run_id, "model": job.task.model, "reason": failed.get(job.task.run_id, "not run")}
        for job in jobs
        if not job.finished
    ]


def _why_nothing(experiment: Experiment) -> str:
    if not experiment.rows() or any("was used up" in row["ended"] for row in experiment.rows()):
        used = next((said for ledger in experiment.ledgers.values() if (said := ledger.used_up())), "")
        return f"{used} before any trial finished an epoch: raise the budget"
    return (
        f"every trial failed; {experiment.folder / 'trials.parquet'} says why, trials/*/error.txt in full: "
        "mend the cause and begin anew with --fresh"
    )
