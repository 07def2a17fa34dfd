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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage

from suite.assignment import Assignment
from suite.budget import Budget
from suite.sampling.propose import propose, startup_trials
from suite.space.scalars import Scalar
from suite.space.search_space import SearchSpace
from suite.study import TrialStudy
from suite.trial_record import IMPORTED_FROM, Curve, State, TrialRecord
from suite.trial_table import trial_row
from suite.turns import Turn, Turns
from suite.without_progress import WithoutProgress

# Workers that one trial may lose before it gets any further. One that kills its worker itself, by a crash,
# ends after that; one that runs for weeks on machines that come and go does not.
MOST_LOSSES = 8


class TrialLedger:
    """The trials of one target of an experiment.

    Args:
        storage: Optuna storage, see `suite.storage`.
        study_name: unique to experiment, space and target.
        space: the search space.
        prefix: put before the number in trial ids, to tell the targets of one experiment apart.
        searched_s: gives the seconds searched so far, over all sessions, for the budget in hours.
        facts: what the study is about beside the space, as JSON: kept with it, for a later study that asks.
        curve_of: gives the curve that the trial of an id has left so far; asked of unfinished trials.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study_name: str,
        space: SearchSpace,
        prefix: str = "t",
        searched_s: Callable[[], float] = lambda: 0.0,
        facts: Mapping[str, Any] | None = None,
        curve_of: Callable[[str], Curve] = lambda trial_id: Curve(),
    ) -> None:
        self.space, self.facts = space, dict(facts or {})
        self.study_name = study_name
        self._study = TrialStudy(
            storage, study_name, space.objective, space.budget.epochs, self._distributions
        )
        self._prefix = prefix
        self._turns = Turns(space)
        if self._study.attributes.get("facts") != self.facts:
            self._study.set_attribute("facts", self.facts)
            self._study.name_values(_value_names(space.objective, self.facts.get("unit")))
        self._losses = WithoutProgress()
        self._unfinished = [trial.assignment for trial in self.trials() if trial.state == "running"]
        for assignment in self._unfinished:
            self.trials()[assignment.number].curve = curve_of(assignment.trial_id)
        self.budget = Budget(space.budget, searched_s)
        for trial in self.trials():
            self._note_budget(trial)

    @property
    def given(self) -> list[Assignment]:
        """All trials so far, by number."""
        return [trial.assignment for trial in self.trials()]

    # ------------------------------------------------------------------ what is next

    def next(self) -> Assignment | None:
        """The next trial: an unfinished one of an earlier session first; None when the budget is used up."""
        if not self.work_left():
            return None
        if self._unfinished:
            return self._unfinished.pop(0)
        number = len(self.trials())
        turn = self._turns.next(self.given)
        params, attributes = self._params(turn, number)
        trial_id = f"{self._prefix}{self._free_id():04d}"
        assignment = self._beginning_of(Assignment(number, trial_id, turn.model.key, params, turn.seed))
        self._study.add(assignment, attributes)
        return assignment

    def _beginning_of(self, assignment: Assignment) -> Assignment:
        """What a new trial is first asked to do: all of it."""
        return assignment

    def _free_id(self) -> int:
        """The number of the next trial id: above those of all trials, of earlier studies too."""
        own = max((trial.id_number for trial in self.given), default=-1)
        return max(own + 1, self._study.attributes.get("ids_taken", 0))

    def used_up(self) -> str | None:
        """The budget that is used up, in words; None while there is something left."""
        return self.budget.used_up()

    def close_if_used_up(self) -> None:
        """End the unfinished trials of earlier sessions, if nothing is left to continue them with."""
        ended = self.used_up()
        if ended is None:
            return
        for assignment in self._unfinished:
            if last := self.trials()[assignment.number].curve.last:
                result = {"epochs": last[0], "val_mae": last[1]}
                self.finish(assignment.number, "stopped", ended, result)
            else:
                self.finish(assignment.number, "failed", f"{ended} before its first epoch", {})
        self._unfinished = []

    @property
    def limit(self) -> int:
        """How many trials there will be, unless another budget ends the search before."""
        return self._turns.limit

    def work_left(self) -> bool:
        """Whether `next` would give a trial."""
        return bool(self._unfinished) or (len(self.trials()) < self._turns.limit and not self.used_up())

    def _params(self, turn: Turn, number: int) -> tuple[dict[str, Scalar], dict[str, int]]:
        """Values of a trial, and what its sampler will want to know of it."""
        if turn.params is not None:
            return dict(turn.params), {}
        model = turn.model
        prefix = f"{model.key}/"
        proposal = propose(
            self._study.history(model.key),
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

    def _distributions(self, assignment: Assignment) -> dict[str, BaseDistribution]:
        model = self.space.models[assignment.model]
        return {f"{model.key}/{name}": model.domains[name].distribution() for name in assignment.params}

    def take_back(self, assignment: Assignment) -> bool:
        """Hand a trial out again that Tune gave up with its worker; False where it has lost too many."""
        number = assignment.number
        if self._losses.count(number, self.trials()[number].epochs) > MOST_LOSSES:
            return False
        self.put_back(assignment)
        return True

    def put_back(self, assignment: Assignment) -> None:
        """Hand a trial out again that could not begin."""
        self._unfinished.append(assignment)

    def use_gpus(self, number: int, gpus: float) -> None:
        """Record the GPUs, or the part of one, that the trial gets."""
        self.budget.use(number, gpus)
        self._study.use_gpus(number, gpus)

    # ------------------------------------------------------------------ what comes from earlier studies

    def take_no_id_below(self, number: int) -> None:
        """Trial ids that begin here have at least this number, in later sessions too."""
        self._study.set_attribute("ids_taken", number)

    def adopt(self, trial: TrialRecord, assignment: Assignment, source: str) -> None:
        """Add a trial that ended in an earlier study, `source`, as the assignment of this one."""
        own = replace(assignment, number=len(self.trials()))
        result = {IMPORTED_FROM: source, **trial.result}
        self._note_budget(
            self._study.add(own, trial.attributes, trial.state, result, trial.curve, trial.gpus)
        )

    def imported_ids(self) -> set[str]:
        """The ids of the trials that come from earlier studies."""
        return {trial.assignment.trial_id for trial in self.trials() if IMPORTED_FROM in trial.result}

    def is_listed(self, assignment: Assignment) -> bool:
        """Whether the search could have such a trial, where its trials are known in advance."""
        return self._turns.is_listed(assignment)

    @property
    def beginning(self) -> str | None:
        """How the study began, where an earlier one was there; for people."""
        return self._study.attributes.get("beginning")

    @beginning.setter
    def beginning(self, text: str) -> None:
        self._study.set_attribute("beginning", text)

    # ------------------------------------------------------------------ what happened

    def report(self, number: int, epoch: int, val_mae: float, seconds: float | None = None) -> None:
        """Record the error of an epoch, after `seconds` of training; a repeated epoch replaces its value."""
        if seconds is not None:
            self.budget.note(number, epoch, seconds)
        if math.isfinite(val_mae):
            self._study.note(number, epoch, val_mae)
            member = self.assignment(number).member
            if member is not None and epoch == member.until:
                self._study.pause(number, epoch, val_mae)

    def finish(self, number: int, state: State, ended: str, result: dict) -> None:
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
        if "epochs" in result:
            self.trials()[number].curve.cut(result["epochs"])  # an earlier session may have been further
        if state != "failed":
            self.report(number, result["epochs"], value, result.get("seconds"))
        finite = {k: v for k, v in result.items() if not (isinstance(v, float) and not math.isfinite(v))}
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._study.finish(number, state, finite | {"ended": ended, "finished": now})

    def trials(self) -> list[TrialRecord]:
        """All trials by number; the ledger's own records, so not to be changed."""
        return self._study.records

    def _note_budget(self, trial: TrialRecord) -> None:
        number = trial.assignment.number
        self.budget.use(number, trial.gpus)
        self.budget.note(number, trial.epochs, trial.result.get("seconds", 0.0))

    def assignment(self, number: int) -> Assignment:
        """What the trial was asked to run."""
        return self.trials()[number].assignment

    def rows(self, target: str) -> list[dict]:
        """One row per trial for `trials.parquet`."""
        rows = [trial_row(trial, self.space, target) for trial in self.trials()]
        if len(self.space.objective) > 1:
            front = self._study.pareto()
            rows = [row | {"pareto": row["number"] in front} for row in rows]
        return rows


def _value_names(objectives: Sequence[str], unit: str | None) -> list[str]:
    """What the values of a trial are, for those who look at the study; the error with its unit."""
    return [f"{each} ({unit})" if unit and each == "val_mae" else each for each in objectives]
