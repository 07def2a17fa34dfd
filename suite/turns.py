"""Whose turn it is: the model of each trial and, where trials are known in advance, its values and seed."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from suite.sampling.grid import grid_point, grid_size
from suite.space.model_space import ModelSpace
from suite.space.scalars import Scalar
from suite.space.search_space import SearchSpace


@dataclass(frozen=True)
class Turn:
    """The turn of one trial; `params` and `seed` where they are not the sampler's affair."""

    model: ModelSpace
    params: Mapping[str, Scalar] | None = None
    seed: int | None = None


class Turns:
    """The turns of a search, by trial number: `limit` of them, by the budget or the length of the list.

    Models take turns, the published configuration of each first. In a grid a model drops out when all of its
    combinations had their turn. An ablation has, seed by seed, the reference and then the other
    configurations of its design.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._models = tuple(space.models.values())
        self._listed: Sequence[Turn] | None = None
        if space.search.sampler == "grid":
            self._listed = tuple(_grid_turns(self._models))
        elif space.search.sampler == "ablate":
            self._listed = tuple(_ablation_turns(self._models, space.search.design, space.search.seeds))
        lengths = (space.budget.trials, None if self._listed is None else len(self._listed))
        self.limit = min(length for length in lengths if length is not None)

    def __getitem__(self, number: int) -> Turn:
        if self._listed is not None:
            return self._listed[number]
        model = self._models[number % len(self._models)]
        if number < len(self._models):
            return Turn(model, params=model.first)
        return Turn(model)


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


def _grid_turns(models: Sequence[ModelSpace]) -> Iterator[Turn]:
    grids = [_grid(model) for model in models]
    for turns in itertools.zip_longest(*grids):
        yield from (turn for turn in turns if turn is not None)


def _grid(model: ModelSpace) -> Iterator[Turn]:
    """Every combination once; some differ only in parameters that do not exist with the rest."""
    seen = set()
    for index in range(int(grid_size(model.domains))):
        params = model.active(grid_point(model.domains, index))
        if (key := tuple(params.items())) not in seen:
            seen.add(key)
            yield Turn(model, params=params)


def _ablation_turns(models: Sequence[ModelSpace], design: str | None, seeds: Sequence[int]) -> Iterator[Turn]:
    for seed in seeds:
        for model in models:
            for point in ablation_points(model, design):
                yield Turn(model, params=point, seed=seed)
