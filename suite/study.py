"""`TrialStudy`: the trials of one search, in memory and in an Optuna study that is written as they change.

The study holds everything that a later session needs in attributes of a trial: `assignment`, `sampler`
(what the sampler wants to know later on), `gpus`, and `result`, which is there when the trial has ended and
includes its curve. The attributes `trial_id`, `model` and `ended` and Optuna's own fields (state, parameters,
values, a tenth of the epochs as intermediate values) say the same for its dashboard and tools. They are not
read again: they are many rows of a database for each trial, see `benchmarks.scale`.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from suite.assignment import Assignment
from suite.sampling.optuna_samplers import feasible
from suite.trial_record import Curve, State, TrialRecord

_STATES: dict[State, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
_NAMES: dict[TrialState, State] = {state: name for name, state in _STATES.items()}
SHOWN_EPOCHS = 10  # intermediate values that a trial has in the study


class TrialStudy:
    """The records of all trials, by number; each change is in the study when the method returns.

    Args:
        storage: see `suite.storage`.
        name: unique to experiment, space and target.
        objectives: names of what is minimised, in a trial's result.
        epochs: of a trial that is not stopped early.
        distributions: gives the distributions of parameters, by "<model>/<name>", of a trial.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        objectives: Sequence[str],
        epochs: int,
        distributions: Callable[[Assignment], dict[str, BaseDistribution]],
    ) -> None:
        self.name = name
        self._storage, self._objectives = storage, objectives
        self._distributions = distributions
        self._shown_every = -(-epochs // SHOWN_EPOCHS)
        self._study_id = _open_study(storage, name, len(objectives))
        self.records = read_trials(storage, self._study_id)
        self._frozen: dict[int, FrozenTrial] = {}

    @property
    def attributes(self) -> dict[str, Any]:
        """What is kept with the study beside its trials."""
        return self._storage.get_study_user_attrs(self._study_id)

    def set_attribute(self, key: str, value: Any) -> None:
        """Keep something with the study; `value` is JSON."""
        self._storage.set_study_user_attr(self._study_id, key, value)

    def name_values(self, names: Sequence[str]) -> None:
        """What the values of the trials are, for those who look at the study."""
        study = optuna.load_study(study_name=self.name, storage=self._storage)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(names))

    def add(
        self,
        assignment: Assignment,
        attributes: dict[str, int],
        state: State = "running",
        result: dict | None = None,
        curve: Curve | None = None,
        gpus: float = 0.0,
    ) -> TrialRecord:
        """A trial that starts, or that comes with its end, in one transaction."""
        record = TrialRecord(assignment, -1, attributes, state, result or {}, curve or Curve(), gpus)
        known: dict[str, Any] = dict(assignment.attributes())
        if gpus:
            known["gpus"] = gpus
        if attributes:
            known["sampler"] = attributes
        if state != "running":
            known |= {"result": _with_curve(record), "ended": record.result.get("ended", "")}
        last = record.curve.last
        template = create_trial(
            state=_STATES[state],
            values=self._values(record),
            params=_prefixed(assignment),
            distributions=self._distributions(assignment),
            user_attrs=known,
            intermediate_values=dict([last]) if last else {},
        )
        record.key = self._storage.create_new_trial(self._study_id, template_trial=template)
        self.records.append(record)
        return record

    def use_gpus(self, number: int, gpus: float) -> None:
        """The GPUs, or the part of one, that a trial gets."""
        record = self.records[number]
        record.gpus = gpus
        self._storage.set_trial_user_attr(record.key, "gpus", gpus)

    def rewrite(self, assignment: Assignment) -> None:
        """What a trial is asked to do from now on."""
        record = self.records[assignment.number]
        for key, value in assignment.attributes().items():
            self._storage.set_trial_user_attr(record.key, key, value)
        record.assignment = assignment

    def pause(self, number: int, epoch: int, value: float) -> None:
        """The member of a population has come to a pause, and its state there is written."""
        record = self.records[number]
        record.pauses[epoch] = value
        self._storage.set_trial_user_attr(record.key, "pauses", list(record.pauses.items()))

    def note(self, number: int, epoch: int, value: float) -> None:
        """The validation error of an epoch."""
        record = self.records[number]
        record.curve.note(epoch, value)
        if epoch % self._shown_every == 0:
            self._storage.set_trial_intermediate_value(record.key, epoch, value)

    def finish(self, number: int, state: State, result: dict) -> None:
        """The end of a trial; `result` is JSON."""
        record = self.records[number]
        record.result = result
        self._storage.set_trial_user_attr(record.key, "result", _with_curve(record))
        self._storage.set_trial_user_attr(record.key, "ended", result.get("ended", ""))
        if state != "failed" and (last := record.curve.last) and last[0] % self._shown_every:
            self._storage.set_trial_intermediate_value(record.key, *last)
        record.state = state
        self._storage.set_trial_state_values(record.key, _STATES[state], self._values(record))
        self._frozen.pop(number, None)

    def history(self, model: str) -> list[FrozenTrial]:
        """The trials of a model as a sampler of Optuna's knows them, by number."""
        return [self._as_frozen(record) for record in self.records if record.assignment.model == model]

    def pareto(self) -> set[int]:
        """Numbers of the complete trials that no other is better than in all objectives."""
        complete = [record for record in self.records if record.state == "complete"]
        study = optuna.create_study(directions=["minimize"] * len(self._objectives))
        study.add_trials(
            [create_trial(state=TrialState.COMPLETE, values=self._values(record)) for record in complete]
        )
        return {complete[trial.number].assignment.number for trial in study.best_trials}

    def _values(self, record: TrialRecord) -> list[float] | None:
        if record.state == "complete":
            return [float(record.result[name]) for name in self._objectives]
        if record.state == "stopped" and len(self._objectives) == 1:
            return [record.value]
        return None

    def _as_frozen(self, record: TrialRecord) -> FrozenTrial:
        number = record.assignment.number
        if number not in self._frozen:
            last = record.curve.last
            frozen = create_trial(
                state=_STATES[record.state],
                values=self._values(record),
                params=_prefixed(record.assignment),
                distributions=self._distributions(record.assignment),
                user_attrs={"infeasible": True} if record.result.get("infeasible") else {},
                system_attrs=dict(record.attributes),
                intermediate_values=dict([last]) if last and record.state == "stopped" else {},
            )
            self._frozen[number] = feasible(frozen) if record.state == "complete" else frozen
        return self._frozen[number]


def _open_study(storage: BaseStorage, name: str, objectives: int) -> int:
    try:
        return storage.get_study_id_from_name(name)
    except KeyError:
        return storage.create_new_study([StudyDirection.MINIMIZE] * objectives, name)


def _prefixed(assignment: Assignment) -> dict:
    return {f"{assignment.model}/{name}": value for name, value in assignment.params.items()}


def _with_curve(record: TrialRecord) -> dict:
    return record.result | {"curve": record.curve.as_json()}


def read_trials(storage: BaseStorage, study_id: int) -> list[TrialRecord]:
    """The trials of a study, by number."""
    trials = _rows(storage, study_id) if isinstance(storage, RDBStorage) else _trials(storage, study_id)
    return [_record(key, state, known) for key, (state, known) in trials.items()]


def _record(key: int, state: TrialState, known: dict) -> TrialRecord:
    assignment = Assignment.read(known)
    result = dict(known["result"]) if state != TrialState.RUNNING else {}
    curve = Curve(result.pop("curve", ()))
    attributes, gpus = known.get("sampler", {}), known.get("gpus", 0.0)
    pauses = dict(map(tuple, known.get("pauses", ())))
    return TrialRecord(assignment, key, attributes, _NAMES[state], result, curve, gpus, pauses)


def _trials(storage: BaseStorage, study_id: int) -> dict[int, tuple[TrialState, dict]]:
    trials = storage.get_all_trials(study_id, deepcopy=False)
    return {trial._trial_id: (trial.state, trial.user_attrs) for trial in trials}


def _rows(storage: RDBStorage, study_id: int) -> dict[int, tuple[TrialState, dict]]:
    """The same from a database, in one query."""
    query = sqlalchemy.text(
        "SELECT t.trial_id, t.state, a.key, a.value_json FROM trials t "
        "JOIN trial_user_attributes a ON a.trial_id = t.trial_id "
        "WHERE t.study_id = :study AND a.key IN ('assignment', 'sampler', 'gpus', 'pauses', 'result') "
        "ORDER BY t.trial_id"
    )
    found: dict[int, tuple[TrialState, dict]] = {}
    with storage.engine.connect() as connection:
        for trial, state, key, value in connection.execute(query, {"study": study_id}):
            found.setdefault(trial, (TrialState[state], {}))[1][key] = json.loads(value)
    return found
