"""The `train` and `models` blocks of a search space: what is searched for each model, tried in advance.

Every bound, choice and integer is tried by constructing the configurations with it, and so are
combinations of the bounds and a random sample, before anything starts: an impossible configuration is
a message now instead of a failed trial later. A model's published configuration becomes its first trial:
each searched parameter at its published value, or at the nearest allowed one, with a note.
"""

import itertools
import math
import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from crystalformer.training.config import TrainConfig
from suite.space.domains import Choice, Constant, Domain
from suite.space.node import TRAIN_NAMES, Node
from suite.space.scalars import Scalar, shown
from suite.space.values import as_field, field_types, parse_domain

if TYPE_CHECKING:
    from suite.models import ModelEntry

RECIPES = ("common", "published")
MOST_COMBINATIONS = 2000
SAMPLES = 200


@dataclass(frozen=True)
class ModelSpace:
    """What is searched for one model.

    Attributes:
        key, label: as in the registry.
        recipes: where parameters of training that the space does not mention come from: "common"
            (`TrainConfig`'s defaults) or "published" (the model's own), each with the number of epochs it was
            made for; both where `recipe` is searched.
        domains: the searched parameters, of the model and of its training.
        constants: the parameters that the space fixes.
        first: the configuration tried first, for the searched parameters.
        published: the published value of every parameter; one that depends on the epochs may be None.
        defaults: the model's configuration with the constants and the first values.
    """

    key: str
    label: str
    recipes: Mapping[str, TrainConfig]
    domains: Mapping[str, Domain]
    constants: Mapping[str, Scalar]
    first: Mapping[str, Scalar]
    published: Mapping[str, Scalar]
    defaults: Any

    @property
    def recipe(self) -> str:
        """The recipe in words: "common", "published", or both where it is searched."""
        return " or ".join(self.recipes)

    def recipe_of(self, params: Mapping[str, Scalar]) -> str:
        """The recipe of a configuration."""
        return str(params.get("recipe", self.recipe))

    def size(self) -> float:
        """Number of configurations, possibly infinite."""
        return math.prod(domain.size() for domain in self.domains.values())

    def resolve(self, params: Mapping[str, Scalar], epochs: int) -> tuple[Any, TrainConfig]:
        """The configurations of the model and of its training for values of all searched parameters.

        Raises:
            ValueError: a searched parameter lacks, one is not searched, or a value is impossible.
        """
        if set(params) != set(self.domains):
            raise ValueError(
                f"params of {self.key}: expected {', '.join(sorted(self.domains)) or 'none'}, "
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


def read_models(
    node: Node, train: Node | None, entries: Mapping[str, "ModelEntry"], epochs: Collection[int]
) -> tuple[dict[str, ModelSpace], list[str]]:
    """The checked `models` block, and notes on published values that the space does not allow.

    `train` is the block shared by all models; `epochs` are the lengths of run to be possible, the
    search's first.

    Raises:
        SpaceError: an unknown model or parameter, or a value, range or combination the model refuses.
    """
    shared = train.block("train") if train is not None else {}
    blocks = node.mapping()
    if not blocks:
        node.expected(f"at least one model of {', '.join(entries)}")
    spaces: dict[str, ModelSpace] = {}
    notes: list[str] = []
    for key, block in blocks.items():
        if key not in entries:
            block.unknown("model", key, tuple(entries))
        spaces[key] = _ModelReader(entries[key], block, shared, tuple(epochs), notes).read()
    return spaces, notes


class _ModelReader:
    """Reads and tries the space of one model; `nodes` are its parameters, the model's own over the shared."""

    def __init__(
        self,
        entry: "ModelEntry",
        block: Node,
        shared: Mapping[str, Node],
        epochs: tuple[int, ...],
        notes: list[str],
    ) -> None:
        self.entry, self.block, self.epochs, self.notes = entry, block, epochs, notes
        model_types = field_types(entry.config)
        self.types = {**field_types(TrainConfig), **model_types, "recipe": Literal[RECIPES]}
        own = block.mapping()
        for name, node in own.items():
            if name not in self.types:
                node.unknown(f"parameter of {entry.key}", name, (*model_types, "recipe", *TRAIN_NAMES))
        self.nodes = {**shared, **own}
        self.recipes = self._recipes()

    def read(self) -> ModelSpace:
        domains: dict[str, Domain] = {}
        constants: dict[str, Scalar] = {}
        for name, node in self.nodes.items():
            domain = self._domain(name, node)
            if isinstance(domain, Constant):
                constants[name] = domain.value
            else:
                domains[name] = domain
        published = self._published()
        first = {name: self._first(name, domain, published[name]) for name, domain in domains.items()}
        self._try({**constants, **first})
        space = ModelSpace(
            key=self.entry.key,
            label=self.entry.label,
            recipes=self.recipes,
            domains=domains,
            constants=constants,
            first=first,
            published=published,
            defaults=self.entry.config(**self._of_model({**constants, **first})),
        )
        for params in _trial_points(space):
            self._try({**constants, **params}, {name for name in params if params[name] != first[name]})
        self._note_epochs()
        return space

    def _recipes(self) -> dict[str, TrainConfig]:
        """The recipes that the space allows; a single one is no parameter."""
        known = {"common": TrainConfig(), "published": self.entry.published_recipe}
        node = self.nodes.get("recipe")
        if node is not None and isinstance(node.value, dict):
            domain = self._domain("recipe", node)
            named = domain.values if isinstance(domain, Choice) else ()
            return {name: recipe for name, recipe in known.items() if name in named}
        self.nodes.pop("recipe", None)
        name = "common" if node is None else node.one_of("recipe", RECIPES)
        return {name: known[name]}

    def _domain(self, name: str, node: Node) -> Constant | Domain:
        """The constant or domain of a parameter, its values as the parameter's field takes them."""
        try:
            domain = parse_domain(node.plain())
            if isinstance(domain, Constant):
                return Constant(as_field(domain.value, self.types[name]))
            for value in domain.ends():
                as_field(value, self.types[name])
        except ValueError as error:
            node.fail(str(error))
        return domain

    def _published(self) -> dict[str, Scalar]:
        """The published value of every parameter."""
        sources = (self.entry.published_recipe, self.entry.config())
        return {"recipe": "published"} | {
            field.name: getattr(source, field.name)
            for source in sources
            for field in fields(source)
            if field.name in self.types
        }

    def _first(self, name: str, domain: Domain, published: Scalar) -> Scalar:
        if name == "swa_epochs" and published is None and None not in domain:
            published = self.entry.published_recipe.averaged_epochs
        value = domain.clip(published)
        if published not in domain:
            extent = str(domain).removesuffix(" (log)")
            among = (
                "is not among the choices" if isinstance(domain, Choice) else "is outside the searched range"
            )
            text = f"published {name} {shown(published)} {among} {extent}; {shown(value)} is tried first"
            self.notes.append(f"{self.entry.key}: {text}")
        return value

    def _note_epochs(self) -> None:
        """A published recipe says for how many epochs; the budget rules."""
        recipe, epochs = self.recipes.get("published"), self.epochs[0]
        if recipe is None or recipe.epochs == epochs:
            return
        text = f"the published recipe is for {recipe.epochs} epochs, the budget's {epochs} rule"
        if recipe.swa_epochs and not {"swa_epochs", "ema_decay"} & self.nodes.keys():
            averaged = train_config(recipe, {}, epochs).swa_epochs
            text += f"; {averaged} of them are averaged (the published share, {recipe.swa_epochs})"
        self.notes.append(f"{self.entry.key}: {text}")

    def _of_model(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        return {
            name: as_field(value, self.types[name])
            for name, value in values.items()
            if name not in ("recipe", *TRAIN_NAMES)
        }

    def _try(self, values: Mapping[str, Scalar], suspects: Collection[str] = ()) -> None:
        """Construct both configurations; a refusal names the parameter it is about, else the suspects."""
        recipe = self.recipes[str(values.get("recipe", next(iter(self.recipes))))]
        try:
            self.entry.config(**self._of_model(values))
            for epochs in self.epochs:
                train_config(recipe, values, epochs)
        except ValueError as error:
            self._refuse(str(error), values, suspects)

    def _refuse(self, message: str, values: Mapping[str, Scalar], suspects: Collection[str]) -> NoReturn:
        name, _, rest = message.partition(": ")
        if name in self.nodes:
            others = ", ".join(
                f"{other} {shown(values[other])}" for other in sorted(suspects) if other != name
            )
            self.nodes[name].fail(rest + (f" (with {others})" if others else ""))
        if len(suspects) == 1:
            (suspect,) = suspects
            self.nodes[suspect].fail(f"{shown(values[suspect])} is refused: {message}")
        given = ", ".join(f"{other} {shown(value)}" for other, value in values.items())
        self.block.fail(f"the combination {given} is refused: {message}")


def _trial_points(space: ModelSpace) -> Iterator[dict[str, Scalar]]:
    """Configurations to try: one parameter changed at a time, combinations of ends, a fixed random sample."""
    for name, domain in space.domains.items():
        for value in domain.probes():
            yield {**space.first, name: value}
    ends = {name: domain.ends() for name, domain in space.domains.items()}
    if math.prod(len(values) for values in ends.values()) <= MOST_COMBINATIONS:
        for combination in itertools.product(*ends.values()):
            yield dict(zip(ends, combination, strict=True))
    rng = random.Random(0)
    for _ in range(SAMPLES):
        yield {name: domain.sample(rng) for name, domain in space.domains.items()}
