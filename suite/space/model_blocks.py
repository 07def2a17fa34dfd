"""The `train` and `models` blocks of a search space: what is searched for each model, tried in advance.

Every bound, choice and integer is tried by constructing the configurations with it, and so are
combinations of the bounds and a random sample, before anything starts: an impossible configuration is
a message now instead of a failed trial later. A model's published configuration becomes its first trial:
each searched parameter at its published value, or at the nearest allowed one, with a note.
"""

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Literal, NoReturn

from crystalformer.training.config import TrainConfig
from suite.space.ablation_block import ONE_AT_A_TIME, AblationBlock, read_ablation
from suite.space.conditions import KEY, active_names, check_no_circle, read_condition
from suite.space.domains import Choice, Constant, Domain
from suite.space.model_space import ModelSpace, train_config
from suite.space.node import TRAIN_NAMES, Node, SpaceError, suggestion
from suite.space.priors import KEYS as PRIOR_KEYS
from suite.space.priors import read_prior, read_starts
from suite.space.probes import trial_points
from suite.space.scalars import Scalar, shown
from suite.space.values import as_field, field_types, parse_domain

if TYPE_CHECKING:
    from crystalformer.entry import ModelEntry

RECIPES = ("common", "published")
STARTS = "first"  # of a block: more configurations to start from


def read_models(
    node: Node,
    train: Node | None,
    entries: Mapping[str, "ModelEntry"],
    epochs: Collection[int],
    design: str | None = None,
    only: Collection[str] = (),
) -> tuple[dict[str, ModelSpace], list[str]]:
    """The checked `models` block, and notes on published values that the space does not allow.

    Instead of a mapping, `all` stands for every model of the registry, with nothing of its own searched.
    `train` is the block shared by all models; `epochs` are the lengths of run to be possible, the
    search's first. In an ablation, which has a `design`, each block has a reference and factors. Of the
    models in the block, those in `only` are read, or all where it is empty.

    Raises:
        SpaceError: an unknown model or parameter, or a value, range or combination the model refuses.
    """
    shared = train.block("train") if train is not None else {}
    everything = {key: Node({}, node.where, f"{node.path}.{key}") for key in entries}
    blocks = everything if node.value == "all" else node.mapping()
    if not blocks:
        node.expected(f"at least one model of {', '.join(entries)}")
    for key in only:
        if key not in blocks:
            raise SpaceError(f"--models {key}: no such model in {node.where}{suggestion(key, blocks)}")
    spaces: dict[str, ModelSpace] = {}
    notes: list[str] = []
    for key, block in blocks.items():
        if key not in entries:
            block.unknown("model", key, tuple(entries))
        if only and key not in only:
            continue
        parts = read_ablation(block, design) if design else None
        spaces[key] = _ModelReader(entries[key], block, shared, tuple(epochs), notes, parts).read()
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
        ablation: AblationBlock | None,
    ) -> None:
        self.entry, self.block, self.epochs, self.notes = entry, block, epochs, notes
        self.ablation = ablation
        model_types = field_types(entry.config)
        self.types = {**field_types(TrainConfig), **model_types, "recipe": Literal[RECIPES]}
        own = dict(block.mapping() if ablation is None else ablation.reference)
        self.starts = own.pop(STARTS, None) if ablation is None else None
        factors = {} if ablation is None else ablation.factors
        for name, node in (*own.items(), *factors.items()):
            if name not in self.types:
                node.unknown(
                    f"parameter of {entry.key}", name, (*model_types, "recipe", STARTS, *TRAIN_NAMES)
                )
        self.nodes = {**shared, **own}
        self.recipes = self._recipes()

    def read(self) -> ModelSpace:
        domains: dict[str, Domain] = {}
        constants: dict[str, Scalar] = {}
        conditions = {name: found[KEY] for name, found in self._take((KEY,)).items()}
        priors = self._take(PRIOR_KEYS)
        for name, node in self.nodes.items():
            domain = self._domain(name, node)
            if isinstance(domain, Constant):
                constants[name] = domain.value
            else:
                domains[name] = domain
        published = self._published()
        first = {name: self._first(name, domain, published[name]) for name, domain in domains.items()}
        if self.ablation is not None:
            domains, first = self._factors(self.ablation, domains, constants, published)
        self.conditions = {name: read_condition(name, node, domains) for name, node in conditions.items()}
        check_no_circle(self.conditions, conditions)
        everywhere, first = first, self._existing(domains, first)
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
            conditions=self.conditions,
            priors={name: read_prior(name, entries, domains[name]) for name, entries in priors.items()},
            more_starts=self._more_starts(everywhere, domains, constants),
        )
        combined = self.ablation is None or self.ablation.design != ONE_AT_A_TIME
        for point in trial_points(domains, first, combined):
            params = self._existing(domains, point)
            self._try({**constants, **params}, {name for name in params if params[name] != first.get(name)})
        self._note_epochs()
        return space

    def _take(self, keys: Collection[str]) -> dict[str, dict[str, Node]]:
        """What stands under some keys beside the domains of parameters, taken out of their nodes."""
        found: dict[str, dict[str, Node]] = {}
        for name, node in self.nodes.items():
            if isinstance(node.value, dict) and (taken := {k: n for k, n in node.value.items() if k in keys}):
                found[name] = taken
                kept = {key: entry for key, entry in node.value.items() if key not in keys}
                self.nodes[name] = Node(kept, node.where, node.path)
        return found

    def _more_starts(
        self,
        first: Mapping[str, Scalar],
        domains: Mapping[str, Domain],
        constants: Mapping[str, Scalar],
    ) -> tuple[dict[str, Scalar], ...]:
        """The starting points after the published configuration, `first`, each a configuration of its own."""
        starts = [self._existing(domains, first)]
        for node, values in read_starts(self.starts, first, domains, constants):
            point = self._existing(domains, values)
            for name in node.mapping():
                if name not in point:
                    node.mapping()[name].fail(f"{name} does not exist with the other values of this entry")
            if point in starts:
                which = "the published configuration" if point == starts[0] else "an entry before"
                node.fail(f"the same as {which}")
            self._try({**constants, **point}, set(node.mapping()))
            starts.append(point)
        if number := len(starts) - 1:
            points = "1 more starting point" if number == 1 else f"{number} more starting points"
            self.notes.append(f"{self.entry.key}: the published configuration is followed by {points}")
        return tuple(starts[1:])

    def _existing(self, domains: Mapping[str, Domain], params: Mapping[str, Scalar]) -> dict[str, Scalar]:
        names = active_names(domains, self.conditions, params)
        return {name: value for name, value in params.items() if name in names}

    def _recipes(self) -> dict[str, TrainConfig]:
        """The recipes that the space allows; a single one is no parameter."""
        known = {"common": TrainConfig(), "published": self.entry.published_recipe}
        node = self.nodes.get("recipe")
        if self.ablation is not None and "recipe" in self.ablation.factors:
            return known
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

    def _factors(
        self,
        ablation: AblationBlock,
        ranges: Mapping[str, Domain],
        constants: dict[str, Scalar],
        published: Mapping[str, Scalar],
    ) -> tuple[dict[str, Domain], dict[str, Scalar]]:
        """The factors as choices and their reference, which is taken from the constants and comes first."""
        for name, domain in ranges.items():
            self.nodes[name].fail(f"expected one value, as an ablation searches nothing, got {domain}")
        domains: dict[str, Domain] = {}
        reference: dict[str, Scalar] = {}
        for name, node in ablation.factors.items():
            try:
                values = [as_field(value, self.types[name]) for value in node.plain()]
            except ValueError as error:
                node.fail(str(error))
            reference[name] = constants.pop(name, self._usual(name, published))
            domains[name] = Choice((reference[name], *(v for v in values if v != reference[name])))
            if domains[name].size() == 1:
                node.fail(f"expected another value than that of the reference, {shown(reference[name])}")
            self.nodes[name] = node
        return domains, reference

    def _usual(self, name: str, published: Mapping[str, Scalar]) -> Scalar:
        """The value of a parameter that nothing is said about, by the recipe that is trained by."""
        if name == "recipe":
            return "common"
        if name not in TRAIN_NAMES:
            return published[name]
        training = train_config(next(iter(self.recipes.values())), {}, self.epochs[0])
        return training.averaged_epochs if name == "swa_epochs" else getattr(training, name)

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
