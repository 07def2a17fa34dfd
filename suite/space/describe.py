"""What a dry run prints: the resolved search space, before anything is started."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crystalformer.data.cell_names import AS_GIVEN
from suite.space.ablation_block import ONE_AT_A_TIME
from suite.space.domains import Domain
from suite.space.estimate import Estimate, estimate_cells
from suite.space.model_space import ModelSpace
from suite.space.scalars import Scalar, shown
from suite.space.search_space import SearchSpace
from suite.space.split_block import SplitSpec

if TYPE_CHECKING:
    from crystalformer.entry import ModelEntry


def describe(
    space: SearchSpace,
    crystals: int | None = None,
    splits: Mapping[str, Mapping[str, int]] | None = None,
    expected: bool = False,
    samples: int = 3,
    models: "Mapping[str, ModelEntry] | None" = None,
    estimates: Mapping[str, Sequence[Estimate | None]] | None = None,
) -> RenderableType:
    """The whole space as text and tables for `rich`, in at most 100 columns.

    Args:
        space: the search space.
        crystals: number of crystals of the data set, None if it is not prepared yet.
        splits: target -> {"train": number of crystals, "val": ..., "test": ...}, where known.
        expected: these numbers are the catalogue's; the data are not here yet.
        samples: example configurations per model, the one tried first included.
        models: the registry, by default `suite.registry.MODELS`; builds the examples to count parameters.
        estimates: model -> what each of its examples needs, None where that could not be measured.
    """
    from suite.registry import MODELS

    models = MODELS if models is None else models
    parts: list[RenderableType] = [_summary(space, crystals, splits or {}, " (expected)" if expected else "")]
    for model in space.models.values():
        needs = None if estimates is None else estimates[model.key]
        parts += ["", _parameters(space, model), _examples(space, model, models[model.key], samples, needs)]
    if space.notes:
        parts += ["", *(Text(f"Note: {note}") for note in space.notes)]
    return Group(*parts)


def _summary(
    space: SearchSpace, crystals: int | None, splits: Mapping[str, Mapping[str, int]], expected: str
) -> Table:
    """One line per block of the grammar."""
    table = Table(
        title=f"Search space {space.name}", box=box.SIMPLE_HEAD, show_header=False, title_justify="left"
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    known = (
        f"{crystals:,} crystals{expected}"
        if crystals is not None
        else "number of crystals known once prepared"
    )
    part = "" if space.data.subset is None else f", of which {space.data.subset:,} are used"
    cell = "" if space.data.cell == AS_GIVEN else f", cells {space.data.cell}"
    table.add_row("data", Text(f"{space.data.dataset}, {known}{part}{cell}"))
    for target in space.data.targets:
        counts = splits.get(target)
        parts = ", ".join(f"{label} {count:,}" for label, count in (counts or {}).items())
        numbers = f": {parts}{expected}" if counts else ""
        table.add_row("target", Text(f"{target}, split {_split(space.data.split[target])}{numbers}"))
    search, final = space.search, space.final
    table.add_row("objective", ", ".join(space.objective))
    table.add_row("budget", _budget(space))
    table.add_row(
        "search",
        f"{_sampler(space)}, {_scheduler(space)}, {search.concurrent} at a time, seed {search.seed}",
    )
    table.add_row("resources", _resources(space))
    seeds = ", ".join(map(str, final.seeds))
    beside = "; floors: training mean, random forest" if final.floors else "; no floors"
    lengths = " or ".join(str(length) for length in dict.fromkeys(final.epochs.values()))
    table.add_row("final", f"best {final.top} of each model, {lengths} epochs, seeds {seeds}{beside}")
    table.add_row("digest", space.digest[:12])
    return table


def _resources(space: SearchSpace) -> str:
    resources = space.resources
    gpu = resources.gpu if isinstance(resources.gpu, str) else f"{resources.gpu:g}"
    processes = f", {resources.processes} processes" if resources.processes > 1 else ""
    return f"{resources.cpu:g} CPU cores and GPU {gpu} per trial{processes}"


def _budget(space: SearchSpace) -> str:
    budget = space.budget
    trials = f"{budget.trials} trials" if budget.trials is not None else "every configuration"
    limits = (
        (budget.hours, "h"),
        (budget.gpu_hours, "GPU hours"),
        (budget.total_epochs, "epochs in all"),
    )
    at_most = "".join(f", at most {limit:g} {unit}" for limit, unit in limits if limit is not None)
    return f"{trials} of up to {budget.epochs} epochs, all models together{at_most}"


def _sampler(space: SearchSpace) -> str:
    search = space.search
    if search.sampler != "ablate":
        return search.sampler
    return f"{search.design} ablation over seeds {', '.join(map(str, search.seeds))}"


def _scheduler(space: SearchSpace) -> str:
    search = space.search
    if search.scheduler == "none":
        return "no early stopping"
    if search.scheduler == "pbt":
        share = f"the worst {search.quantile:.0%} of a model's trials copy one of the best"
        every = f"{search.perturb_every} epochs" if search.perturb_every != 1 else "epoch"
        return f"population based training ({share} every {every})"
    keeps = "" if search.scheduler == "median" else f", keeps 1 in {search.reduction}"
    return f"{search.scheduler} (from epoch {search.grace_epochs}{keeps})"


def _split(spec: SplitSpec) -> str:
    if spec.kind == "fold":
        return f"official fold {spec.fold} as test, {spec.val:g} of the rest validates (seed {spec.seed})"
    if spec.kind == "lists":
        assert spec.lists is not None
        return "ids of " + ", ".join(f"{entry.source} ({len(entry.ids):,})" for entry in spec.lists)
    if spec.kind == "groups":
        parts = (("val", spec.val_groups), ("test", spec.test_groups))
        shares = [f"{part} {' '.join(v) if isinstance(v, tuple) else f'{v:g}'}" for part, v in parts]
        return f"whole groups by {spec.group}: {', '.join(shares)} (seed {spec.seed})"
    if spec.kind != "fractions":
        return spec.kind
    return f"{spec.train:g} / {spec.val:g} / {spec.test:g} (seed {spec.seed})"


def _parameters(space: SearchSpace, model: ModelSpace) -> Table:
    """Every parameter: the searched first, then the fixed, then those at their defaults."""
    named = {"common": "the common recipe", "published": "its published recipe"}
    recipe = " or ".join(named[name] for name in model.recipes)
    size = model.size()
    count = (
        "infinitely many configurations"
        if math.isinf(size)
        else f"{size:,.0f} configuration{'s' * (size != 1)}"
    )
    table = Table(
        title=f"{model.label} ({model.key}): {count}, trained by {recipe}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    for heading in ("parameter", "value", "", "published", "tried first"):
        table.add_column(heading, overflow="fold")
    defaults = dict(_resolved(space, model, model.first))
    for name, domain in model.domains.items():
        first = shown(model.first[name]) if name in model.first else "does not exist"
        cells = (name, _domain(model, name, domain), "searched", shown(model.published[name]), first)
        table.add_row(*map(Text, cells), style="bold")
    for name, value in model.constants.items():
        table.add_row(*map(Text, (name, shown(value), "fixed", shown(model.published[name]), "")))
    for name, value in defaults.items():
        if name not in model.domains and name not in model.constants:
            table.add_row(
                *map(Text, (name, shown(value), "default", shown(model.published[name]), "")), style="dim"
            )
    return table


def _domain(model: ModelSpace, name: str, domain: Domain) -> str:
    """The domain, and the condition under which the parameter exists."""
    conditions = (
        f"{other} is {' or '.join(shown(value) for value in values)}"
        for other, values in model.conditions.get(name, {}).items()
    )
    when = " and ".join(conditions)
    belief = f", {model.priors[name]}" if name in model.priors else ""
    return f"{domain}{belief} when {when}" if when else f"{domain}{belief}"


def _resolved(
    space: SearchSpace, model: ModelSpace, params: Mapping[str, Scalar]
) -> Iterator[tuple[str, Scalar]]:
    """Name and value of every parameter of a configuration, the model's before those of training."""
    model_config, training = space.resolve(model.key, params)
    training = replace(training, swa_epochs=training.averaged_epochs)
    for config in (model_config, training):
        yield from (
            (field.name, getattr(config, field.name))
            for field in fields(config)
            if field.name in model.published
        )


def examples(space: SearchSpace, model: ModelSpace, samples: int = 3) -> list[dict[str, Scalar]]:
    """The configurations tried first and, where there are more, some drawn at random: always the same."""
    rng = random.Random(space.search.seed)
    drawn = [dict(point) for point in model.starts]
    for _ in range(samples - 1 if model.size() > 1 else 0):
        point = {name: domain.sample(rng) for name, domain in model.domains.items()}
        if space.search.design == ONE_AT_A_TIME:
            name = rng.choice(list(model.domains))
            point = {**model.first, name: point[name]}
        drawn.append(model.active(point))
    return drawn


def _examples(
    space: SearchSpace,
    model: ModelSpace,
    entry: "ModelEntry",
    samples: int,
    estimates: Sequence[Estimate | None] | None,
) -> Table:
    """Sample configurations with their numbers of trainable parameters, counted by building the model, and
    what they need.
    """
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("example configuration", overflow="fold")
    columns = ("parameters",) if estimates is None else ("parameters", "memory", "disk", "a trial", "GPU")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    import torch

    from suite.registry_table import parameter_count

    drawn = examples(space, model, samples)
    marks = [" (tried first)", *[" (tried next)"] * len(model.more_starts), *[""] * samples]
    for index, (mark, params) in enumerate(zip(marks, drawn, strict=False)):
        config, _ = space.resolve(model.key, params)
        with torch.device("meta"):  # shapes without memory or initial values
            count = parameter_count(entry.build(config))
        values = ", ".join(f"{name} {shown(value)}" for name, value in params.items()) or "nothing searched"
        needs = () if estimates is None else estimate_cells(estimates[index])
        table.add_row(Text(values + mark), f"{count:,}", *needs)
    return table
