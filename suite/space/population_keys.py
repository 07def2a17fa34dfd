"""The keys of population based training in the `search` block, and which spaces allow it."""

from collections.abc import Mapping
from dataclasses import dataclass

from crystalformer.training.config import CHANGEABLE
from suite.space.model_space import ModelSpace
from suite.space.node import Node

KEYS = ("perturb_every", "quantile", "resample")
_OF_STOPPING = ("grace_epochs", "reduction")
QUANTILE, RESAMPLE = 0.25, 0.25  # as in Ray Tune's
PAUSES = 8  # of a run, unless it says otherwise


@dataclass(frozen=True)
class PopulationSpec:
    """See `SearchSpec`; None without a population."""

    perturb_every: int | None = None
    quantile: float | None = None
    resample: float | None = None


def read_population(block: Mapping[str, Node], epochs: int) -> PopulationSpec:
    """The checked keys of population based training over `epochs`.

    Raises:
        SpaceError: a value outside its range, or a key of schedulers that stop trials.
    """
    for key in _OF_STOPPING:
        if key in block:
            block[key].fail("expected beside a scheduler that stops trials; pbt stops none")
    every = max(1, epochs // PAUSES)
    if "perturb_every" in block:
        every = block["perturb_every"].whole(at_least=1)
        if every >= epochs:
            block["perturb_every"].expected(f"less than the {epochs} epochs of the budget")
    quantile, resample = QUANTILE, RESAMPLE
    if "quantile" in block:
        quantile = block["quantile"].number("a number above 0 and at most 0.5", above=0)
        if quantile > 0.5:
            block["quantile"].expected("a number above 0 and at most 0.5")
    if "resample" in block:
        resample = block["resample"].number("a probability from 0 to 1", at_least=0)
        if resample > 1:
            block["resample"].expected("a probability from 0 to 1")
    return PopulationSpec(every, quantile, resample)


def no_population(block: Mapping[str, Node]) -> PopulationSpec:
    """Nothing, where no key asks for one.

    Raises:
        SpaceError: one does.
    """
    for key in KEYS:
        if key in block:
            block[key].fail("expected beside scheduler: pbt only")
    return PopulationSpec()


def check_population(node: Node, models: Mapping[str, ModelSpace]) -> None:
    """Refuse a model in which nothing may change during training, or whose parameters come and go then.

    Raises:
        SpaceError: at `node`, the scheduler.
    """
    for key, model in models.items():
        if not any(name in CHANGEABLE for name in model.domains):
            node.fail(
                f"expected a searched parameter that may change during training in models.{key} for pbt, "
                f"such as lr; these may: {', '.join(CHANGEABLE)}"
            )
        for name, condition in model.conditions.items():
            if moving := [other for other in condition if other in CHANGEABLE]:
                node.fail(
                    "expected conditions on what stays the same for pbt, but "
                    f"models.{key}.{name} depends on {moving[0]}, which changes during training"
                )


def check_lengths(
    blocks: Mapping[str, Node], trials: int | None, epochs: tuple[int, ...], models: int
) -> None:
    """Refuse populations of one, and final runs of another length than the schedules that they follow.

    Raises:
        SpaceError: at `budget.trials` or `final.epochs`; `epochs` are those of runs, the budget's first.
    """
    if trials is not None and trials < 2 * models:
        node = blocks["budget"].mapping()["trials"]
        node.expected(f"at least {2 * models} for pbt, a population of two for each model")
    if len(epochs) > 1:
        node = blocks["final"].mapping()["epochs"]
        node.expected(f"the {epochs[0]} epochs of the budget for pbt, whose schedules have so many")


def population_notes(models: Mapping[str, ModelSpace]) -> list[str]:
    """What a reader of the results should know."""
    several = " of each model" if len(models) > 1 else ""
    return [
        "population based training: a result is a schedule, not a configuration; the final runs are trained "
        f"anew, following the schedule of the best member{several}"
    ]
