"""`ModelSpace`: what is searched for one model, and the configurations that values of it stand for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crystalformer.training.config import TrainConfig
from suite.space.conditions import Conditions, active_names
from suite.space.domains import Domain
from suite.space.priors import Prior
from suite.space.scalars import Scalar
from suite.space.values import as_field, field_types


@dataclass(frozen=True)
class ModelSpace:
    """What is searched for one model.

    Attributes:
        key, label: as in the registry.
        recipes: where parameters of training that the space does not mention come from: "common"
            (`TrainConfig`'s defaults) or "published" (the model's own), each with the number of epochs it was
            made for; both where `recipe` is searched.
        domains: the searched parameters, of the model and of its training.
        conditions: of parameters that exist only for some values of others, see `conditions`.
        constants: the parameters that the space fixes.
        first: the configuration tried first, for the searched parameters.
        published: the published value of every parameter; one that depends on the epochs may be None.
        defaults: the model's configuration with the constants and the first values.
        priors: of searched parameters that have one.
        more_starts: the configurations that are tried next, before the sampler is asked.
    """

    key: str
    label: str
    recipes: Mapping[str, TrainConfig]
    domains: Mapping[str, Domain]
    constants: Mapping[str, Scalar]
    first: Mapping[str, Scalar]
    published: Mapping[str, Scalar]
    defaults: Any
    conditions: Conditions = field(default_factory=dict)
    priors: Mapping[str, Prior] = field(default_factory=dict)
    more_starts: tuple[Mapping[str, Scalar], ...] = ()

    @property
    def recipe(self) -> str:
        """The recipe in words: "common", "published", or both where it is searched."""
        return " or ".join(self.recipes)

    def recipe_of(self, params: Mapping[str, Scalar]) -> str:
        """The recipe of a configuration."""
        return str(params.get("recipe", self.recipe))

    @property
    def starts(self) -> tuple[Mapping[str, Scalar], ...]:
        """The configurations that are tried before the sampler is asked."""
        return (self.first, *self.more_starts)

    def size(self) -> float:
        """Number of configurations, possibly infinite."""
        return math.prod(domain.size() for domain in self.domains.values())

    def active(self, params: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Those of the values whose parameters exist."""
        names = active_names(self.domains, self.conditions, params)
        return {name: value for name, value in params.items() if name in names}

    def resolve(self, params: Mapping[str, Scalar], epochs: int) -> tuple[Any, TrainConfig]:
        """The configurations of the model and of its training for values of all searched parameters.

        Raises:
            ValueError: a searched parameter lacks, one is not searched, or a value is impossible.
        """
        expected = active_names(self.domains, self.conditions, params)
        if set(params) != expected:
            raise ValueError(
                f"params of {self.key}: expected {', '.join(sorted(expected)) or 'none'}, "
                f"got {', '.join(sorted(params)) or 'none'}"
            )
        values = {**self.constants, **params}
        recipe = self.recipes[self.recipe_of(params)]
        return self._model_config(values), train_config(recipe, values, epochs)

    def _model_config(self, values: Mapping[str, Scalar]) -> Any:
        config: Any = type(self.defaults)
        types = field_types(config)
        own = {name: as_field(value, types[name]) for name, value in values.items() if name in types}
        return replace(self.defaults, **own)


def train_config(recipe: TrainConfig, values: Mapping[str, Scalar], epochs: int) -> TrainConfig:
    """A recipe with some values replaced, for a run of `epochs`, whatever number it was made for.

    Its schedule spans the run, a milestone at the same share of it. A recipe that averages the weights of its
    last epochs averages the same share of them (50 of 500 epochs: 2 of 20), unless `values` says how many or
    asks for an exponential average.
    """
    types = field_types(TrainConfig)
    own = {name: as_field(value, types[name]) for name, value in values.items() if name in types}
    if own.get("ema_decay"):
        own.setdefault("swa_epochs", 0)
    elif recipe.swa_epochs is not None:
        own.setdefault("swa_epochs", recipe.swa_epochs * epochs // recipe.epochs)
    if recipe.milestone:
        own.setdefault("milestone", max(1, recipe.milestone * epochs // recipe.epochs))
    return replace(recipe, **own, epochs=epochs)
