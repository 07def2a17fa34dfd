"""The `search` block and the objectives: how trials are proposed, stopped and judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from suite.space.ablation_block import DESIGNS
from suite.space.model_space import ModelSpace
from suite.space.node import Node
from suite.space.population_keys import (
    check_population,
    no_population,
    population_notes,
    read_population,
)

OBJECTIVES = ("val_mae", "parameters", "predict_ms_per_crystal", "seconds")
SAMPLERS = ("tpe", "random", "quasi-random", "gp", "cma-es", "nsga-ii", "grid", "ablate")
SCHEDULERS = ("asha", "hyperband", "median", "none", "pbt")

LARGEST_SEED = 2**32 - 1  # of NumPy's generators


@dataclass(frozen=True)
class SearchSpec:
    """How the trials are proposed and stopped.

    `grace_epochs` holds for every scheduler that stops trials, `reduction` for asha and hyperband. An
    ablation (sampler ablate) has a `design` and repeats each of its configurations over `seeds`. Population
    based training (scheduler pbt) pauses every `perturb_every` epochs; then the worst `quantile` copies the
    best one and draws values anew with probability `resample`.
    """

    sampler: str
    scheduler: str
    grace_epochs: int
    reduction: int
    concurrent: int
    seed: int
    design: str | None = None
    seeds: tuple[int, ...] = ()
    perturb_every: int | None = None
    quantile: float | None = None
    resample: float | None = None

    @property
    def listed(self) -> bool:
        """Whether the trials are known in advance: a grid or an ablation, which end by themselves."""
        return self.sampler in ("grid", "ablate")


def read_search(node: Node, epochs: int) -> SearchSpec:
    """The checked `search` block; `epochs` are those of the budget."""
    block = node.block("search")
    grace = block["grace_epochs"].whole(at_least=1) if "grace_epochs" in block else max(1, epochs // 6)
    if grace > epochs:
        block["grace_epochs"].expected(f"at most the {epochs} epochs of the budget")
    sampler = block["sampler"].one_of("sampler", SAMPLERS) if "sampler" in block else "tpe"
    usual = "none" if sampler == "ablate" else "asha"
    scheduler = block["scheduler"].one_of("scheduler", SCHEDULERS) if "scheduler" in block else usual
    if scheduler == "pbt" and "sampler" not in block:
        sampler = "random"
    return SearchSpec(
        sampler=sampler,
        scheduler=scheduler,
        grace_epochs=grace,
        reduction=block["reduction"].whole(at_least=2) if "reduction" in block else 3,
        concurrent=block["concurrent"].whole(at_least=1) if "concurrent" in block else 1,
        seed=a_seed(block["seed"]) if "seed" in block else 0,
        design=_design(block, sampler),
        seeds=_seeds(block, sampler),
        **vars(read_population(block, epochs) if scheduler == "pbt" else no_population(block)),
    )


def a_seed(node: Node) -> int:
    """A seed that every random generator takes."""
    seed = node.whole(at_least=0)
    if seed > LARGEST_SEED:
        node.expected("a seed below 2^32")
    return seed


def seed_list(node: Node) -> tuple[int, ...]:
    """A list of different seeds."""
    return tuple(
        a_seed(entry) for entry in node.distinct("a list of different whole numbers such as [0, 1, 2]")
    )


def read_objective(node: Node | None) -> tuple[str, ...]:
    """The checked objectives, all of them minimised; the error is the first."""
    if node is None:
        return OBJECTIVES[:1]
    if not isinstance(node.value, list):
        name = node.one_of("objective", OBJECTIVES)
        names: tuple[str, ...] = (name,)
    else:
        names = tuple(
            entry.one_of("objective", OBJECTIVES) for entry in node.distinct("a list of objectives")
        )
    if names[0] != "val_mae":
        node.fail(f"expected val_mae as the first objective, got {', '.join(names)}")
    return names


def check_combination(
    node: Node, search: SearchSpec, objective: tuple[str, ...], models: Mapping[str, ModelSpace]
) -> None:
    """Refuse what does not go together, with the reason.

    Raises:
        SpaceError: at the key to change.
    """
    block = node.mapping()

    def refuse(key: str, message: str) -> NoReturn:
        (block.get(key) or node).fail(f"expected {message}")

    if search.sampler == "nsga-ii" and len(objective) == 1:
        refuse("sampler", "several objectives for nsga-ii, such as [val_mae, parameters]; for one, take tpe")
    if search.sampler == "cma-es" and len(objective) > 1:
        refuse("sampler", "one objective for cma-es; for several, take tpe, gp or nsga-ii")
    if search.sampler == "grid":
        for key, model in models.items():
            for name, domain in model.domains.items():
                if domain.size() == float("inf"):
                    refuse(
                        "sampler",
                        f"finitely many values for a grid, but models.{key}.{name} is {domain}: "
                        "give it a step or choices",
                    )
            if model.priors or model.more_starts:
                what = "prior" if model.priors else "first"
                refuse(
                    "sampler", f"no {what} in models.{key} for a grid, which trains every combination once"
                )
    if search.sampler == "ablate" and search.scheduler != "none":
        refuse("scheduler", "none for an ablation, whose runs are only comparable at full length")
    if search.scheduler == "pbt":
        if search.sampler not in ("random", "quasi-random"):
            refuse("sampler", "random or quasi-random for pbt, which draws its population at the start")
        if len(objective) > 1:
            refuse("scheduler", "one objective for pbt, whose members are ranked by it")
        check_population(block["scheduler"], models)


def search_notes(search: SearchSpec, models: Mapping[str, ModelSpace]) -> list[str]:
    """What a reader of the results should know of how they were searched for."""
    if search.scheduler == "pbt":
        return population_notes(models)
    if search.scheduler == "none":
        return []
    return [
        f"{key}: swa_epochs is searched, but {search.scheduler} stops trials before their last epochs, which "
        "are averaged: compare val_mae with val_mae_raw of the same trial"
        for key, model in models.items()
        if "swa_epochs" in model.domains
    ]


def _design(block: Mapping[str, Node], sampler: str) -> str | None:
    if sampler != "ablate":
        if "design" in block:
            block["design"].fail("expected beside sampler: ablate only")
        return None
    return block["design"].one_of("design", DESIGNS) if "design" in block else DESIGNS[0]


def _seeds(block: Mapping[str, Node], sampler: str) -> tuple[int, ...]:
    if sampler != "ablate":
        if "seeds" in block:
            block["seeds"].fail(
                "expected beside sampler: ablate only; final.seeds are those of the final runs"
            )
        return ()
    return seed_list(block["seeds"]) if "seeds" in block else (0, 1, 2)
