"""Whose turn it is: the model of the next trial and, where they are known in advance, its values."""

import itertools
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from suite.assignment import Assignment
from suite.sampling.grid import grid_point, grid_size
from suite.space.model_space import ModelSpace
from suite.space.scalars import Scalar
from suite.space.search_space import SearchSpace


@dataclass(frozen=True)
class Turn:
    """The turn of one trial; `params` where they are not the sampler's affair."""

    model: ModelSpace
    seed: int
    params: Mapping[str, Scalar] | None = None


class Turns:
    """The turns of a search, each a function of the trials so far: `limit` of them.

    Models take turns, the published configuration of each first. In a grid a model drops out when all of its
    combinations had their turn. An ablation has, seed by seed, the reference and then the other
    configurations of its design. Nothing that is listed, and no starting point, has a second turn.

    Attributes:
        limit: number of trials, by the budget or the length of the list.
        listed: the trials that are known in advance, None where a sampler is asked.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._models = tuple(space.models.values())
        self._seed = space.search.seed
        self._by_seed = space.search.sampler == "ablate"  # configurations are repeated over seeds
        self.listed: Sequence[Turn] | None = None
        if space.search.sampler == "grid":
            self.listed = tuple(_grid_turns(self._models, self._seed))
        elif self._by_seed:
            self.listed = tuple(_ablation_turns(self._models, space.search.design, space.search.seeds))
        lengths = (space.budget.trials, None if self.listed is None else len(self.listed))
        self.limit = min(length for length in lengths if length is not None)

    def next(self, earlier: Sequence[Assignment]) -> Turn:
        """The turn after these trials.

        Raises:
            StopIteration: all that is listed had its turn.
        """
        if self.listed is not None:
            done = {self._key(trial.model, trial.params, trial.seed) for trial in earlier}
            return next(
                turn
                for turn in self.listed
                if self._key(turn.model.key, turn.params or {}, turn.seed) not in done
            )
        counts = Counter(trial.model for trial in earlier)
        model = min(self._models, key=lambda model: counts[model.key])
        own = [trial for trial in earlier if trial.model == model.key]
        tried = [trial.params for trial in own]
        start = next((point for point in model.starts if point not in tried), None)
        return Turn(model, self._training_seed(model, own), start)

    def is_listed(self, trial: Assignment) -> bool:
        """Whether a trial is one of those that are known in advance; any is, where a sampler is asked."""
        key = self._key(trial.model, trial.params, trial.seed)
        return self.listed is None or any(
            key == self._key(turn.model.key, turn.params or {}, turn.seed) for turn in self.listed
        )

    def _key(self, model: str, params: Mapping[str, Scalar], seed: int) -> Hashable:
        return model, frozenset(params.items()), seed if self._by_seed else None

    def _training_seed(self, model: ModelSpace, own: Sequence[Assignment]) -> int:
        """Trials differ by their configuration alone; where nothing is searched, by their seed."""
        if model.domains:
            return self._seed
        used = {trial.seed for trial in own}
        return next(seed for seed in itertools.count(self._seed) if seed not in used)


def ablation_points(model: ModelSpace, design: str | None) -> list[dict[str, Scalar]]:
    """The configurations of a model's ablation, the reference (`model.first`) first.

    `one-at-a-time`: each factor at each of its other values, the rest as in the reference. `factorial`:
    every combination of all values.
    """
    reference = dict(model.first)
    if design == "factorial":
        values = [domain.ends() for domain in model.domains.values()]
        points = [dict(zip(model.domains, point, strict=True)) for point in itertools.product(*values)]
        return sorted(points, key=lambda point: point != reference)
    others = [
        {**reference, name: value}
        for name, domain in model.domains.items()
        for value in domain.ends()
        if value != reference[name]
    ]
    return [reference, *others]


def _grid_turns(models: Sequence[ModelSpace], seed: int) -> Iterator[Turn]:
    grids = [_grid(model, seed) for model in models]
    for turns in itertools.zip_longest(*grids):
        yield from (turn for turn in turns if turn is not None)


def _grid(model: ModelSpace, seed: int) -> Iterator[Turn]:
    """Every combination once; some differ only in parameters that do not exist with the rest."""
    seen = set()
    for index in range(int(grid_size(model.domains))):
        params = model.active(grid_point(model.domains, index))
        if (key := tuple(params.items())) not in seen:
            seen.add(key)
            yield Turn(model, seed, params)


def _ablation_turns(models: Sequence[ModelSpace], design: str | None, seeds: Sequence[int]) -> Iterator[Turn]:
    for seed in seeds:
        for model in models:
            for point in ablation_points(model, design):
                yield Turn(model, seed, point)
