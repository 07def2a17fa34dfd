"""`TrialLedger`: the record of one search, an Optuna study, and who is next.

The ledger decides what runs; Ray Tune only carries it out. Everything is in the study from the moment it is
known, so a search continues from its study alone: no state of Ray's is needed and none is loaded.

| trial | in the study | meaning |
|---|---|---|
| running | RUNNING | started; after a crash it is handed out again under the same id |
| complete | COMPLETE | trained for all its epochs; its value is the error of the weights that are kept |
| stopped | PRUNED | ended early by the scheduler or a budget; its value is that of its last epoch |
| failed | FAIL | raised, diverged or lost its worker; never a value, never proposed from |
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from suite.assignment import Assignment
from suite.budget import Budget
from suite.sampling.propose import propose, startup_trials
from suite.space.scalars import Scalar
from suite.space.search_space import ModelSpace, SearchSpace
from suite.trial_table import IMPORTED_FROM, trial_row
from suite.turns import Turn, Turns

# Workers that one trial may lose. A trial that kills its worker itself, by a crash, ends after that.
MOST_LOSSES = 8


class TrialLedger:
    """The trials of one target of an experiment.

    Args:
        storage: Optuna storage, e.g. from `open_storage`.
        study_name: unique to experiment, space and target.
        space: the search space.
        prefix: put before the number in trial ids, to tell the targets of one experiment apart.
        searched_s: gives the seconds searched so far, over all sessions, for the budget in hours.
        facts: what the study is about beside the space, as JSON: kept with it, for a later study that asks.

    Attributes:
        given: all trials so far, by number.
    """

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        study_name: str,
        space: SearchSpace,
        prefix: str = "t",
        searched_s: Callable[[], float] = lambda: 0.0,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.space, self.facts = space, dict(facts or {})
        self.study_name = study_name
        self._storage = storage
        self._study = optuna.create_study(
            storage=storage,
            study_name=study_name,
            directions=["minimize"] * len(space.objective),
            load_if_exists=True,
        )
        self._study_id = storage.get_study_id_from_name(study_name)
        self._prefix = prefix
        self._turns = Turns(space)
        if self._attributes().get("facts") != self.facts:
            self._study.set_user_attr("facts", self.facts)
        self._losses: Counter[int] = Counter()
        self.budget = Budget(space.budget, searched_s)
        for trial in self.trials():
            self._note_budget(trial)
        self.given = [Assignment.read(trial.user_attrs) for trial in self.trials()]
        self._unfinished = [self.given[t.number] for t in self.trials() if t.state == TrialState.RUNNING]

    # ------------------------------------------------------------------ what is next

    def next(self) -> Assignment | None:
        """The next trial: an unfinished one of an earlier session first; None when the budget is used up."""
        if not self.work_left():
            return None
        if self._unfinished:
            return self._unfinished.pop(0)
        number = len(self.given)
        turn = self._turns.next(self.given)
        params, attributes = self._params(turn, number)
        trial_id = f"{self._prefix}{self._free_id():04d}"
        assignment = self._beginning_of(Assignment(number, trial_id, turn.model.key, params, turn.seed))
        self._add(assignment, state=TrialState.RUNNING, system_attrs=attributes)
        return assignment

    def _add(self, assignment: Assignment, user_attrs: Mapping[str, Any] | None = None, **known: Any) -> None:
        """A trial of the study, with all that is known of it, in one transaction."""
        model, params = self.space.models[assignment.model], assignment.params
        self._study.add_trial(
            create_trial(
                params={f"{model.key}/{name}": value for name, value in params.items()},
                distributions=self._distributions(model, params),
                user_attrs={**(user_attrs or {}), **assignment.attributes()},
                **known,
            )
        )
        self.given.append(assignment)

    def _beginning_of(self, assignment: Assignment) -> Assignment:
        """What a new trial is first asked to do: all of it."""
        return assignment

    def _free_id(self) -> int:
        """The number of the next trial id: above those of all trials, of earlier studies too."""
        own = max((trial.id_number for trial in self.given), default=-1)
        return max(own + 1, self._attributes().get("ids_taken", 0))

    def used_up(self) -> str | None:
        """The budget that is used up, in words; None while there is something left."""
        return self.budget.used_up()

    def close_if_used_up(self) -> None:
        """End the unfinished trials of earlier sessions, if nothing is left to continue them with."""
        ended = self.used_up()
        if ended is None:
            return
        for assignment in self._unfinished:
            values = self.trials()[assignment.number].intermediate_values
            if values:
                last = max(values)
                self.finish(assignment.number, "stopped", ended, {"epochs": last, "val_mae": values[last]})
            else:
                self.finish(assignment.number, "failed", f"{ended} before its first epoch", {})
        self._unfinished = []

    @property
    def limit(self) -> int:
        """How many trials there will be, unless another budget ends the search before."""
        return self._turns.limit

    def work_left(self) -> bool:
        """Whether `next` would give a trial."""
        return bool(self._unfinished) or (len(self.given) < self._turns.limit and not self.used_up())

    def _params(self, turn: Turn, number: int) -> tuple[dict[str, Scalar], dict[str, int]]:
        """Values of a trial, and what its sampler will want to know of it."""
        if turn.params is not None:
            return dict(turn.params), {}
        model = turn.model
        prefix = f"{model.key}/"
        proposal = propose(
            [trial for trial in self.trials() if trial.user_attrs.get("model") == model.key],
            {prefix + name: domain for name, domain in model.domains.items()},
            sampler=self.space.search.sampler,
            seed=self.space.search.seed,
            number=number,
            startup_trials=startup_trials(self._turns.limit // len(self.space.models)),
            objectives=len(self.space.objective),
            priors={prefix + name: prior for name, prior in model.priors.items()},
        )
        values = {name.removeprefix(prefix): value for name, value in proposal.params.items()}
        return model.active(values), proposal.attributes

    @staticmethod
    def _distributions(model: ModelSpace, params: Mapping[str, Scalar]) -> dict[str, BaseDistribution]:
        return {f"{model.key}/{name}": model.domains[name].distribution() for name in params}

    def take_back(self, assignment: Assignment) -> bool:
        """Hand a trial out again that Tune gave up with its worker; False where it has lost too many."""
        self._losses[assignment.number] += 1
        if self._losses[assignment.number] > MOST_LOSSES:
            return False
        self._unfinished.append(assignment)
        return True

    def use_gpus(self, number: int, gpus: float) -> None:
        """Record the GPUs, or the part of one, that the trial gets."""
        self.budget.use(number, gpus)
        self._storage.set_trial_user_attr(self._id(number), "gpus", gpus)

    # ------------------------------------------------------------------ what comes from earlier studies

    def take_no_id_below(self, number: int) -> None:
        """Trial ids that begin here have at least this number, in later sessions too."""
        self._study.set_user_attr("ids_taken", number)

    def adopt(self, trial: FrozenTrial, assignment: Assignment, source: str) -> None:
        """Add a trial that ended in an earlier study, `source`, as the assignment of this one."""
        self._add(
            Assignment(**{**vars(assignment), "number": len(self.given)}),
            state=trial.state,
            values=trial.values if trial.state == TrialState.COMPLETE else None,
            user_attrs={IMPORTED_FROM: source, **trial.user_attrs},
            system_attrs=trial.system_attrs,
            intermediate_values=trial.intermediate_values,
        )
        self._note_budget(self.trials()[-1])

    def imported_ids(self) -> set[str]:
        """The ids of the trials that come from earlier studies."""
        return {self.given[t.number].trial_id for t in self.trials() if IMPORTED_FROM in t.user_attrs}

    def is_listed(self, assignment: Assignment) -> bool:
        """Whether the search could have such a trial, where its trials are known in advance."""
        return self._turns.is_listed(assignment)

    @property
    def beginning(self) -> str | None:
        """How the study began, where an earlier one was there; for people."""
        return self._attributes().get("beginning")

    @beginning.setter
    def beginning(self, text: str) -> None:
        self._study.set_user_attr("beginning", text)

    def _attributes(self) -> dict[str, Any]:
        return self._storage.get_study_user_attrs(self._study_id)

    # ------------------------------------------------------------------ what happened

    def report(self, number: int, epoch: int, val_mae: float, seconds: float | None = None) -> None:
        """Record the error of an epoch, after `seconds` of training; a repeated epoch replaces its value."""
        if seconds is not None:
            self.budget.note(number, epoch, seconds)
        if math.isfinite(val_mae):
            self._storage.set_trial_intermediate_value(self._id(number), epoch, val_mae)

    def finish(self, number: int, state: str, ended: str, result: dict) -> None:
        """Record the end of a trial.

        Args:
            number: the trial's number.
            state: complete, stopped or failed.
            ended: why it ended, for people.
            result: epochs, val_mae, val_mae_raw, seconds, parameters, predict_ms_per_crystal, recipe, config,
                infeasible, images_radius, truncation_bound, and missing, the number of training and
                validation crystals that the model cannot represent (what is known of them); the objectives
                of a complete trial.

        Raises:
            ValueError: a complete or stopped trial has no finite `val_mae`.
        """
        value = result.get("val_mae", math.nan)
        if state != "failed" and not math.isfinite(value):
            raise ValueError(f"trial {number}: a {state} trial needs a finite val_mae, got {value}")
        trial_id = self._id(number)
        for key, entry in {**result, "ended": ended}.items():
            if not (isinstance(entry, float) and not math.isfinite(entry)):
                self._storage.set_trial_user_attr(trial_id, key, entry)
        if state == "failed":
            self._study.tell(number, state=TrialState.FAIL)
            return
        # The last value is an intermediate value too: a pruned trial has no other in Optuna's eyes.
        self.report(number, result["epochs"], value, result.get("seconds"))
        if state == "complete":
            self._study.tell(number, [float(result[name]) for name in self.space.objective])
        else:
            self._study.tell(number, state=TrialState.PRUNED)

    def trials(self) -> list[FrozenTrial]:
        """All trials by number; not copies, so not to be changed."""
        return self._study.get_trials(deepcopy=False)

    def _note_budget(self, trial: FrozenTrial) -> None:
        epochs = max(trial.intermediate_values, default=0)
        self.budget.use(trial.number, trial.user_attrs.get("gpus", 0.0))
        self.budget.note(trial.number, epochs, trial.user_attrs.get("seconds", 0.0))

    def assignment(self, number: int) -> Assignment:
        """What the trial was asked to run."""
        return self.given[number]

    def rows(self, target: str) -> list[dict]:
        """One row per trial for `trials.parquet`."""
        rows = [trial_row(trial, self.space, target) for trial in self.trials()]
        if len(self.space.objective) > 1:
            front = {trial.number for trial in self._study.best_trials}  # of complete trials only
            rows = [row | {"pareto": row["number"] in front} for row in rows]
        return rows

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)


def open_storage(path: Path) -> optuna.storages.BaseStorage:
    """The experiment's study database, an SQLite file that is made if it is absent.

    Raises:
        ValueError: the file is there and is no study database.
    """
    try:
        return optuna.storages.RDBStorage(
            f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
    except (SQLAlchemyError, RuntimeError) as error:
        said = str(error).strip().splitlines()[0]
        raise ValueError(f"{path}: expected an Optuna study database, got another file ({said})") from error
