"""`load_space`: a YAML file and `--set` overrides -> a checked, immutable `SearchSpace`.

The grammar is in search_spaces/README.md. Everything that can be wrong with a search space is said
here, before data are prepared or a trial starts.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crystalformer.training.config import TrainConfig
from suite.space.data_block import DataSpec, read_data
from suite.space.model_blocks import ModelSpace, read_models
from suite.space.node import Node, SpaceError
from suite.space.scalars import Scalar
from suite.space.yaml_file import read_space

if TYPE_CHECKING:
    from suite.models import ModelEntry

__all__ = [
    "BudgetSpec",
    "FinalSpec",
    "ResourcesSpec",
    "SearchSpace",
    "SearchSpec",
    "SpaceError",
    "load_space",
]

OBJECTIVES = ("val_mae",)
SAMPLERS = ("tpe", "random")
SCHEDULERS = ("asha", "none")
LARGEST_SEED = 2**32 - 1  # of NumPy's generators


@dataclass(frozen=True)
class BudgetSpec:
    """How much is computed: trials of all models together, epochs of each, hours in all (None: no limit)."""

    trials: int
    epochs: int
    hours: float | None


@dataclass(frozen=True)
class SearchSpec:
    """How the trials are proposed and stopped; `grace_epochs` and `reduction` are ASHA's."""

    sampler: Literal["tpe", "random"]
    scheduler: Literal["asha", "none"]
    grace_epochs: int
    reduction: int
    concurrent: int
    seed: int


@dataclass(frozen=True)
class ResourcesSpec:
    """What one trial gets: CPU cores, and GPUs (fractions allowed; "auto": one where there is one)."""

    cpu: float
    gpu: float | Literal["auto"]


@dataclass(frozen=True)
class FinalSpec:
    """The final training: the best `top` configurations of each model, over `seeds`, for `epochs`.

    `floors`: whether the training mean and a forest of compositions stand beside them.
    """

    top: int
    seeds: tuple[int, ...]
    epochs: int
    floors: bool = True


@dataclass(frozen=True)
class SearchSpace:
    """A whole search, checked.

    `text` is the file as it was read and `overrides` what changed it. `content` is what is searched and
    `digest` identifies it: they do not depend on comments, the order of keys, the name, the unit, and on
    what only decides how much is computed and where (trials, hours, concurrency, resources, rejected
    crystals, the final training). `notes` are for the reader of the results.
    """

    name: str
    data: DataSpec
    objective: tuple[str, ...]
    budget: BudgetSpec
    search: SearchSpec
    resources: ResourcesSpec
    models: Mapping[str, ModelSpace]
    final: FinalSpec
    text: str
    overrides: tuple[str, ...]
    content: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of what is searched, in canonical JSON."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()

    def resolve(
        self, model_key: str, params: Mapping[str, Scalar], epochs: int | None = None
    ) -> tuple[Any, TrainConfig]:
        """The configurations of the model and its training; `epochs` defaults to the search's.

        Raises:
            ValueError: the parameters are not those searched for this model, or a value is impossible.
        """
        if model_key not in self.models:
            raise ValueError(f"model_key: expected one of {', '.join(self.models)}, got {model_key!r}")
        return self.models[model_key].resolve(params, self.budget.epochs if epochs is None else epochs)


def load_space(
    path: str | Path, overrides: Sequence[str] = (), models: "Mapping[str, ModelEntry] | None" = None
) -> SearchSpace:
    """Read and check a search space.

    Args:
        path: the YAML file.
        overrides: settings `key.path=value`, applied in order before anything is checked.
        models: the registry, by default `suite.models.MODELS`.

    Raises:
        SpaceError: the file, an override or what they say is wrong; the message says where and what to do.
    """
    path = Path(path)
    text, root = read_space(path, overrides)
    blocks = root.block("", required=("name", "data", "budget", "models"))
    name = blocks["name"].folder_name()
    data = read_data(blocks["data"], path.parent)
    objective = _objective(blocks.get("objective"))
    budget = _budget(blocks["budget"])
    absent = Node(None, str(path), "")
    search = _search(blocks.get("search", absent), budget.epochs)
    resources = _resources(blocks.get("resources", absent))
    final = _final(blocks.get("final", absent), budget.epochs)
    lengths = tuple(dict.fromkeys((budget.epochs, final.epochs)))
    if models is None:
        from suite.models import MODELS  # imports torch, which most mistakes need not wait for

        models = MODELS
    spaces, notes = read_models(blocks["models"], blocks.get("train"), models, lengths)
    if budget.trials < len(spaces):
        blocks["budget"].mapping()["trials"].fail(
            f"expected at least {len(spaces)}, one for the published configuration of each model, "
            f"got {budget.trials}"
        )
    return SearchSpace(
        name=name,
        data=data,
        objective=objective,
        budget=budget,
        search=search,
        resources=resources,
        models=spaces,
        final=final,
        text=text,
        overrides=tuple(overrides),
        content=_content(blocks["data"], data, objective, budget, search, spaces),
        notes=tuple(notes),
    )


def _objective(node: Node | None) -> tuple[str, ...]:
    if node is None:
        return OBJECTIVES
    if not isinstance(node.value, list):
        return (node.one_of("objective", OBJECTIVES),)
    entries = node.distinct("val_mae")
    if len(entries) > 1:
        node.expected("one objective, val_mae (several at a time are not supported)")
    return (entries[0].one_of("objective", OBJECTIVES),)


def _budget(node: Node) -> BudgetSpec:
    block = node.block("budget", required=("trials", "epochs"))
    hours = block.get("hours")
    return BudgetSpec(
        trials=block["trials"].whole(at_least=1),
        epochs=block["epochs"].whole(at_least=1),
        hours=None
        if hours is None or hours.value is None
        else hours.number("a number of hours above 0", above=0),
    )


def _search(node: Node, epochs: int) -> SearchSpec:
    block = node.block("search")
    grace = block["grace_epochs"].whole(at_least=1) if "grace_epochs" in block else max(1, epochs // 6)
    if grace > epochs:
        block["grace_epochs"].expected(f"at most the {epochs} epochs of the budget")
    seed = block["seed"].whole(at_least=0) if "seed" in block else 0
    if seed > LARGEST_SEED:
        block["seed"].expected("a seed below 2^32")
    sampler = block["sampler"].one_of("sampler", SAMPLERS) if "sampler" in block else "tpe"
    scheduler = block["scheduler"].one_of("scheduler", SCHEDULERS) if "scheduler" in block else "asha"
    return SearchSpec(
        sampler="tpe" if sampler == "tpe" else "random",
        scheduler="asha" if scheduler == "asha" else "none",
        grace_epochs=grace,
        reduction=block["reduction"].whole(at_least=2) if "reduction" in block else 3,
        concurrent=block["concurrent"].whole(at_least=1) if "concurrent" in block else 1,
        seed=seed,
    )


def _resources(node: Node) -> ResourcesSpec:
    block = node.block("resources")
    cpu, gpu = block.get("cpu"), block.get("gpu")
    return ResourcesSpec(
        cpu=1.0 if cpu is None else cpu.number("a number of cores above 0", above=0),
        gpu="auto"
        if gpu is None or gpu.value == "auto"
        else gpu.number("auto or a number of GPUs of at least 0", at_least=0),
    )


def _final(node: Node, epochs: int) -> FinalSpec:
    block = node.block("final")
    seeds: tuple[int, ...] = (0, 1, 2)
    if "seeds" in block:
        entries = block["seeds"].distinct("a list of different whole numbers such as [0, 1, 2]")
        seeds = tuple(entry.whole(at_least=0) for entry in entries)
        for entry in entries:
            if entry.whole(at_least=0) > LARGEST_SEED:
                entry.expected("a seed below 2^32")
    given = block.get("epochs")
    return FinalSpec(
        top=block["top"].whole(at_least=1) if "top" in block else 1,
        seeds=seeds,
        epochs=epochs if given is None or given.value is None else given.whole(at_least=1),
        floors=block["floors"].truth() if "floors" in block else True,
    )


def _content(
    node: Node,
    data: DataSpec,
    objective: tuple[str, ...],
    budget: BudgetSpec,
    search: SearchSpec,
    models: Mapping[str, ModelSpace],
) -> dict[str, Any]:
    """What is searched, resolved, as JSON; a path counts as it is written, wherever it leads."""
    content = {
        "data": {
            "dataset": node.mapping()["dataset"].plain(),
            "target": list(data.targets),
            "split": {target: asdict(rule) for target, rule in data.split.items()},
        },
        "objective": objective,
        "budget": {"epochs": budget.epochs},
        "search": {key: value for key, value in asdict(search).items() if key != "concurrent"},
        "models": {
            key: {
                "recipe": space.recipe,
                "domains": {name: domain.plain() for name, domain in space.domains.items()},
                "first": dict(space.first),
                "resolved": {
                    part: asdict(config)
                    for part, config in zip(
                        ("model", "train"), space.resolve(space.first, budget.epochs), strict=True
                    )
                },
            }
            for key, space in models.items()
        },
    }
    return json.loads(json.dumps(content))
