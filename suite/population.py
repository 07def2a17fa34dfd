"""`PopulationLedger`: population based training (Jaderberg et al., arXiv:1711.09846), in generations.

The trials of a model are a population. All of them pause every few epochs; once each has come to the pause,
the worst take the state of one of the best (exploit) and change what may change during training (explore).
Because a generation waits for its last member, what follows is a function of the space and its seeds, however
many trials run at a time and however often the search is broken off.

A member's result is a schedule, its lineage: the stretches of epochs that led to its weights, whichever
member trained them. Parameters that do not change during training belong to the weights and go with them.
"""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from suite.assignment import Assignment, Membership, Stretch
from suite.ledger import TrialLedger
from suite.sampling.explore import explored
from suite.space.search_space import SearchSpace


@dataclass(frozen=True)
class Paused:
    """A member at the end of a generation, and its validation error there."""

    assignment: Assignment
    error: float

    @property
    def lineage(self) -> tuple[Stretch, ...]:
        """The stretches that it has trained or taken over."""
        assert self.assignment.member is not None
        return self.assignment.member.lineage


class PopulationLedger(TrialLedger):
    """A ledger whose trials are handed out a generation at a time; for the rest see `TrialLedger`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for key, text in self._study.attributes.items():
            if key.startswith(_GENERATION):  # decided, and perhaps not all of it written to its trials
                self._carry_out(json.loads(text))
        self._unfinished = [given for given in self._alive() if not self._is_paused(given)]

    def next(self) -> Assignment | None:
        """The next stretch of a trial; None where the budget is used up, or all wait for those that run."""
        if self.used_up():
            return None
        if not self._unfinished and len(self.given) < self.limit:
            return super().next()
        if not self._unfinished:
            for model in self.space.models:
                self._begin_generation(model)
        return self._unfinished.pop(0) if self._unfinished else None

    def work_left(self) -> bool:
        """Whether there is a member that is not trained to its end."""
        return not self.used_up() and (len(self.given) < self.limit or bool(self._alive()))

    def close_if_used_up(self) -> None:
        """End all members that are not at their end, if nothing is left to continue them with."""
        self._unfinished = self._alive()
        super().close_if_used_up()

    def _beginning_of(self, assignment: Assignment) -> Assignment:
        first = Stretch(0, assignment.trial_id, assignment.params)
        return replace(assignment, member=Membership(0, _pause_after(self.space, 0), None, (first,)))

    def _alive(self) -> list[Assignment]:
        return [trial.assignment for trial in self.trials() if trial.state == "running"]

    def _is_paused(self, given: Assignment) -> bool:
        """Whether a member waits for a decision; at its last epoch it still has its end to record."""
        assert given.member is not None
        if given.member.until == self.space.budget.epochs:
            return False
        return given.member.until in self.trials()[given.number].pauses

    def _begin_generation(self, model: str) -> None:
        """Decide what the members of a model do next, if all of them have come to their pause."""
        alive = [given for given in self._alive() if given.model == model]
        if not alive or not all(self._is_paused(given) for given in alive):
            return
        (epoch,) = {given.member.until for given in alive if given.member}
        values = [self.trials()[given.number].pauses[epoch] for given in alive]
        members = [Paused(given, error) for given, error in zip(alive, values, strict=True)]
        decided = {given.number: asdict(given) for given in next_generation(members, epoch, self.space)}
        # In one entry, so that a search that is broken off here goes on with all of the decisions or none.
        self._study.set_attribute(f"{_GENERATION}{model}/{epoch}", json.dumps(decided))
        self._unfinished += self._carry_out(decided)

    def _carry_out(self, decided: dict[Any, dict[str, Any]]) -> list[Assignment]:
        """Write decisions to their trials, where later ones have not been."""
        begun = []
        for number, plain in decided.items():
            assignment = Assignment(**{**plain, "member": Membership.read(plain["member"])})
            before = self.given[int(number)].member
            assert assignment.member is not None
            if before is None or before.until < assignment.member.until:
                self._rewrite(assignment)
                begun.append(assignment)
        return begun

    def _rewrite(self, assignment: Assignment) -> None:
        self._study.rewrite(assignment)


_GENERATION = "generation/"  # an attribute of the study: model and epoch -> the assignments after it


def next_generation(members: Sequence[Paused], epoch: int, space: SearchSpace) -> list[Assignment]:
    """What the paused members of one model do next, in their order.

    The worst share copies a member drawn from the best share, with weights, schedule and all, and changes its
    values; the others go on as they were.
    """
    search, ranked = space.search, sorted(members, key=lambda m: (m.error, m.assignment.number))
    assert search.quantile is not None
    assert search.resample is not None
    count = min(math.ceil(search.quantile * len(ranked)), len(ranked) // 2)
    best, worst = ranked[:count], ranked[len(ranked) - count :]
    until = _pause_after(space, epoch)
    following = []
    for member in members:
        given = member.assignment
        source, lineage, params = given.trial_id, member.lineage, given.params
        if member in worst:
            rng = random.Random(f"{search.seed}/{given.number}/{epoch}")
            better = rng.choice(best)
            model = space.models[given.model]
            source, lineage = better.assignment.trial_id, better.lineage
            params = explored(better.assignment.params, model, search.resample, space.budget.epochs, rng)
            lineage = (*lineage, Stretch(epoch, given.trial_id, params))
        following.append(replace(given, params=params, member=Membership(epoch, until, source, lineage)))
    return following


def _pause_after(space: SearchSpace, epoch: int) -> int:
    assert space.search.perturb_every is not None
    return min(epoch + space.search.perturb_every, space.budget.epochs)
