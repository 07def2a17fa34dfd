"""From the record to what is to be run: the task of a trial, and the final runs that the trials call for."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from crystalformer.training.config import CHANGEABLE
from suite.assignment import Assignment, Stretch
from suite.experiment import Experiment
from suite.final import FinalJob, run_id
from suite.floors import FLOORS, FloorJob, floor_seeds
from suite.records import write_json
from suite.registry import MODELS
from suite.space.domains import Domain
from suite.space.search_space import SearchSpace
from suite.tensorboard_log import hparam_cells
from suite.trial_table import ranked
from suite.trial_task import TrialTask, paused_state

_SUPERSEDED = ".superseded"


def trial_task(experiment: Experiment, target: str, assignment: Assignment) -> TrialTask:
    """The training task of a trial."""
    config = resolved(experiment.space, assignment, experiment.space.budget.epochs)
    model = experiment.space.models[assignment.model]
    cells = hparam_cells(assignment.model, assignment.params, model.domains)
    folder = f"trials/{assignment.trial_id}"
    log = f"{assignment.trial_id}-{assignment.model}"
    recipe = model.recipe_of(assignment.params)
    name, seed = assignment.trial_id, assignment.seed
    task = _task(experiment, target, assignment.model, config, recipe, seed, name, folder, log, cells)
    if (member := assignment.member) is None:
        return task
    source = paused_state(experiment.folder / "trials" / (member.source or name), member.start)
    return replace(task, until=member.until, source=str(source))


def resolved(space: SearchSpace, assignment: Assignment, epochs: int) -> dict:
    """The configuration of a trial: of the model, of its training, and how the latter changes, if it does."""
    member = assignment.member
    first = assignment.params if member is None else member.lineage[0].params
    model_config, train_config = space.resolve(assignment.model, first, epochs)
    config: dict = {"model": asdict(model_config), "train": asdict(train_config)}
    if member is not None and len(member.lineage) > 1:
        config["schedule"] = [_change(space, assignment, stretch, epochs) for stretch in member.lineage[1:]]
    return config


def _change(space: SearchSpace, assignment: Assignment, stretch: Stretch, epochs: int) -> dict:
    """The values with which a stretch begins."""
    _, train_config = space.resolve(assignment.model, stretch.params, epochs)
    changing = (name for name in CHANGEABLE if name in stretch.params)
    return {"epoch": stretch.epoch} | {name: getattr(train_config, name) for name in changing}


def forget_pauses(experiment: Experiment) -> None:
    """Remove the states in which members of populations paused, once nobody goes on from them."""
    population = experiment.space.search.scheduler == "pbt"
    if population and not any(ledger.work_left() for ledger in experiment.ledgers.values()):
        for path in (experiment.folder / "trials").glob("*/paused-*.safetensors"):
            path.unlink()


def final_jobs(experiment: Experiment) -> list[FinalJob]:
    """The final runs as the trials stand now: the best configurations of each model, over the seeds, and
    the floors of each target that has one.
    """
    space = experiment.space
    jobs: list[FinalJob] = []
    for target in experiment.ledgers:
        for key in space.models:
            for rank, (row, config) in enumerate(_best(experiment, target, key), start=1):
                selected = {"trial_id": row["trial_id"], "val_mae": row["val_mae"]}
                for seed in space.final.seeds:
                    name = run_id(key, experiment.data.store.name, target, seed, config)
                    place = (f"final/.{name}", f"final/{name}")
                    task = _task(experiment, target, key, config, row["recipe"], seed, name, *place, {})
                    entry, dataset = MODELS[key], experiment.data.store.name
                    jobs.append(FinalJob(task, entry.label, entry.paper, dataset, selected, rank))
    targets = dict.fromkeys(job.task.target for job in jobs)
    return jobs + [job for target in targets for job in _floor_jobs(experiment, target)]


def _floor_jobs(experiment: Experiment, target: str) -> Iterator[FloorJob]:
    """The floors of a target, where the search space wants them; they come from no trial."""
    final, dataset = experiment.space.final, experiment.data.store.name
    for floor in FLOORS.values() if final.floors else ():
        config = {"model": floor.config, "train": {"epochs": 0}}
        for seed in floor_seeds(floor, final.seeds):
            name = run_id(floor.key, dataset, target, seed, config)
            place = (f"final/.{name}", f"final/{name}")
            task = _task(experiment, target, floor.key, config, None, seed, name, *place, {})
            selected = {"trial_id": None, "val_mae": None}
            yield FloorJob(task, floor.label, floor.paper, dataset, selected, 1)


def arrange_final_runs(experiment: Experiment, jobs: list[FinalJob]) -> None:
    """Make `final/` hold these runs alone; those of earlier choices wait in `final/.superseded/`.

    A run that stays may have another rank by now; its record says so.
    """
    folder = experiment.folder / "final"
    aside = folder / _SUPERSEDED
    wanted = {job.task.run_id for job in jobs}
    for present in sorted(folder.glob("[!.]*")):
        if present.name not in wanted:
            _move(present, aside / present.name)
    for job in jobs:
        if not job.finished and (earlier := aside / job.task.run_id).exists():
            _move(earlier, job.folder)
        if job.finished:
            record = json.loads((job.folder / "run.json").read_text())
            chosen = {"selected_from": job.selected_from, "rank": job.rank}
            if any(record[key] != value for key, value in chosen.items()):
                write_json(job.folder / "run.json", record | chosen)


def searched_domains(experiment: Experiment) -> dict[str, Domain]:
    """Every searched parameter of every model, as "<model>/<name>"."""
    return {
        f"{key}/{name}": domain
        for key, model in experiment.space.models.items()
        for name, domain in model.domains.items()
    }


def _best(experiment: Experiment, target: str, model: str) -> Iterator[tuple[dict, dict]]:
    """A model's best trials, the best alone of equal configurations, with what is to be trained again."""
    space, ledger = experiment.space, experiment.ledgers[target]
    seen: list[dict] = []
    for row in ranked(ledger.rows(target), model):
        if len(seen) == space.final.top:
            return
        config = resolved(space, ledger.assignment(row["number"]), space.final.epochs[target])
        if config not in seen:
            seen.append(config)
            yield row, config


def _task(
    experiment: Experiment,
    target: str,
    model: str,
    config: dict,
    recipe: str | None,
    seed: int,
    name: str,
    folder: str,
    log: str,
    hparams: dict,
) -> TrialTask:
    data = experiment.data
    return TrialTask(
        run_id=name,
        model=model,
        model_config=config["model"],
        train_config=config["train"],
        recipe=recipe,
        seed=seed,
        target=target,
        unit=data.units[target],
        store=str(data.store.path.resolve()),
        split=data.splits[target].hash,
        folder=str(experiment.folder / folder),
        cache=str(data.store.path.resolve() / "cache"),
        tensorboard=str(experiment.folder / "tensorboard" / log),
        histograms=experiment.space.histograms,
        hparams=hparams,
        schedule=config.get("schedule", []),
    )


def _move(folder: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(to, ignore_errors=True)
    os.replace(folder, to)
