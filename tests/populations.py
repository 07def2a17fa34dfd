"""A small population, and its training in this process, one member after the other."""

import json
from pathlib import Path

import pandas as pd
from suite_fixtures import small_space

from suite.assignment import Assignment
from suite.experiment import Experiment
from suite.prepare import prepare_data
from suite.space.search_space import load_space
from suite.tasks import trial_task
from suite.trial import TrialRun

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
    return pd.DataFrame(experiment.rows()).drop(columns=["seconds", "finished"])
