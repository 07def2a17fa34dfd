"""A changed search space: the trials of an experiment's earlier studies that are trials of its new one, too.

A trial is imported if a trial of the new study could have been just this one: the same data, split, epochs
and objectives, and the same resolved configuration from values inside the new domains. So a constant may
have become a range, or a range a constant. Each import is one transaction and is told by its trial id, so
one that is broken off is gone on with.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy

from crystalformer.training.config import TrainConfig
from suite.assignment import Assignment
from suite.ledger import TrialLedger
from suite.space.model_space import ModelSpace
from suite.space.scalars import Scalar
from suite.study import read_trials
from suite.trial_record import IMPORTED_FROM, TrialRecord

# Entries of a study's facts -> why its trials are none of a study with other ones.
_FACTS = {
    "data": "of other data",
    "split": "of another split",
    "epochs": "of another number of epochs",
    "objective": "of other objectives",
    "population": "members of a population",
}


@dataclass(frozen=True)
class Imported:
    """How many trials of earlier studies were imported, and why the others were not."""

    trials: int
    of: int
    reasons: Mapping[str, int]

    def __str__(self) -> str:
        if not self.of:
            return "no trial of the earlier search to import"
        text = f"imported {self.trials} of {self.of} trials of the earlier search"
        if self.reasons:
            text += f"; {self.of - self.trials} not: "
            text += ", ".join(f"{number} {reason}" for reason, number in self.reasons.items())
        return text


class _NotImported(Exception):
    """Why a trial is not imported, in words that follow a number."""


def import_earlier_trials(ledger: TrialLedger, storage: BaseStorage) -> Imported:
    """Import what fits of the earlier studies of the ledger's experiment and target; what came of it.

    All other studies of the storage are looked at, in the order in which they began.
    """
    own = {given.trial_id for given in ledger.given}
    native = own - ledger.imported_ids()
    studies = [study for study in storage.get_all_studies() if study.study_name != ledger.study_name]
    mine = [study for study in studies if _of(study, "experiment") == ledger.facts.get("experiment")]
    trials = {study.study_name: read_trials(storage, study._study_id) for study in mine}
    ids = [trial.assignment.id_number for each in trials.values() for trial in each]
    ledger.take_no_id_below(1 + max([*ids, *(given.id_number for given in ledger.given)], default=-1))
    outcome: dict[str, str | None] = {}  # trial id -> why not
    for study in mine:
        if _of(study, "target") != ledger.facts.get("target"):
            continue
        facts = study.user_attrs["facts"]
        for trial in trials[study.study_name]:
            earlier = trial.assignment
            if earlier.trial_id in native or outcome.get(earlier.trial_id, "") is None:
                continue
            try:
                params = _params_of(trial, earlier, facts, ledger)
            except _NotImported as reason:
                outcome[earlier.trial_id] = str(reason)
                continue
            outcome[earlier.trial_id] = None
            if earlier.trial_id not in own:
                source = trial.result.get(IMPORTED_FROM, facts["space"])
                ledger.adopt(trial, replace(earlier, params=params), source)
    reasons = Counter(reason for reason in outcome.values() if reason is not None)
    return Imported(sum(reason is None for reason in outcome.values()), len(outcome), dict(reasons))


def _of(study: FrozenStudy, key: str) -> Any:
    return study.user_attrs.get("facts", {}).get(key)


def _params_of(
    trial: TrialRecord, earlier: Assignment, facts: Mapping[str, Any], ledger: TrialLedger
) -> dict[str, Scalar]:
    """The trial's values of the parameters that are searched now.

    Raises:
        _NotImported: it is no trial of the new study.
    """
    known, search = trial.result, ledger.space.search
    if trial.state == "running":
        raise _NotImported("unfinished")
    if trial.state == "failed" and not known.get("infeasible"):
        raise _NotImported("failed")
    for key, words in _FACTS.items():
        if facts.get(key) != ledger.facts.get(key) or (key == "population" and facts.get(key)):
            raise _NotImported(words)
    if earlier.model not in ledger.space.models:
        raise _NotImported(f"of {earlier.model}")
    if "config" not in known:
        raise _NotImported("without a recorded configuration")
    model = ledger.space.models[earlier.model]
    params = _searched_now(model, json.loads(known["config"]), known["recipe"], ledger.space.budget.epochs)
    if search.sampler == "ablate" and trial.state != "complete":
        raise _NotImported("not at full length")
    if not ledger.is_listed(replace(earlier, params=params)):
        raise _NotImported("not part of the design")
    return params


def _searched_now(model: ModelSpace, config: dict, recipe: str, epochs: int) -> dict[str, Scalar]:
    """The values of the searched parameters with which the model space gives this configuration.

    Raises:
        _NotImported: there are none.
    """
    told = _comparable(config)
    values: dict[str, Scalar] = {**told["model"], **told["train"], "recipe": recipe}
    if None in model.domains.get("swa_epochs", ()):  # where it says to follow the epochs
        values["swa_epochs"] = config["train"]["swa_epochs"]
    params = {}
    for name in model.active({name: values.get(name) for name in model.domains}):
        if name not in values or values[name] not in model.domains[name]:
            raise _NotImported(f"outside {name}")
        params[name] = model.domains[name].clip(values[name])
    if model.recipe_of(params) != recipe:
        raise _NotImported("of another recipe")
    model_config, training = model.resolve(params, epochs)
    here = _comparable(json.loads(json.dumps({"model": asdict(model_config), "train": asdict(training)})))
    for part in ("model", "train"):
        for name in sorted(here[part].keys() | told[part].keys()):
            if here[part].get(name) != told[part].get(name):
                raise _NotImported(f"with another {name}")
    return params


def _comparable(config: dict) -> dict:
    """A resolved configuration in which the averaged epochs are a number, however they were asked for."""
    averaged = TrainConfig(**config["train"]).averaged_epochs
    return {"model": config["model"], "train": {**config["train"], "swa_epochs": averaged}}
