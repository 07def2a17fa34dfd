"""`load_space`: a YAML file and `--set` overrides -> a checked, immutable `SearchSpace`.

The grammar is in search_spaces/README.md. Everything that can be wrong with a search space is said
here, before data are prepared or a trial starts.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalformer.data.cell_names import AS_GIVEN
from crystalformer.training.config import TrainConfig
from suite.space.data_block import DataSpec, read_data
from suite.space.final_block import FinalSpec, read_final
from suite.space.model_blocks import read_models
from suite.space.model_space import ModelSpace
from suite.space.node import Node, SpaceError
from suite.space.paths import space_path
from suite.space.population_keys import check_lengths
from suite.space.resources_block import ResourcesSpec, read_resources
from suite.space.scalars import Scalar
from suite.space.search_block import (
    SearchSpec,
    check_combination,
    read_objective,
    read_search,
    search_notes,
)
from suite.space.yaml_file import read_space

if TYPE_CHECKING:
    from crystalformer.entry import ModelEntry

__all__ = [
    "BudgetSpec",
    "FinalSpec",
    "ResourcesSpec",
    "SearchSpace",
    "SearchSpec",
    "SpaceError",
    "load_space",
]

AUTO = 0  # trials: the starting points of the models, which are read later


@dataclass(frozen=True)
class BudgetSpec:
    """How much is computed; None: no limit.

    Attributes:
        trials: of all models together; None where they are listed (a grid, an ablation): all of them.
        epochs: of each trial.
        hours: of searching.
        gpu_hours: of all trials together, parts of GPUs counted as parts.
        total_epochs: of all trials together.
    """

    trials: int | None
    epochs: int
    hours: float | None
    gpu_hours: float | None = None
    total_epochs: int | None = None


@dataclass(frozen=True)
class SearchSpace:
    """A whole search, checked.

    `histograms`: whether TensorBoard gets those of weights and gradients, every epoch of every run.
    `text` is the file as it was read and `overrides` what changed it. `content` is what is searched and
    `digest` identifies it: they do not depend on comments, the order of keys, the name, the unit, and on
    what only decides how much is computed, shown and where (trials, hours, concurrency, resources, rejected
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
    histograms: bool
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
    path: str | Path,
    overrides: Sequence[str] = (),
    models: "Mapping[str, ModelEntry] | None" = None,
    only: Sequence[str] = (),
) -> SearchSpace:
    """Read and check a search space.

    Args:
        path: the YAML file; one of the suite's own, `search_spaces/NAME.yaml`, is found from anywhere.
        overrides: settings `key.path=value`, applied in order before anything is checked.
        models: the registry, by default `suite.registry.MODELS`.
        only: keys of the models of the file that are searched; empty: all of them.

    Raises:
        SpaceError: the file, an override or what they say is wrong; the message says where and what to do.
    """
    path = space_path(Path(path))
    text, root = read_space(path, overrides)
    blocks = root.block("", required=("name", "data", "budget", "models"))
    name = blocks["name"].folder_name()
    data = read_data(blocks["data"], path.parent)
    objective = read_objective(blocks.get("objective"))
    budget = _budget(blocks["budget"])
    absent = Node(None, str(path), "")
    search_node = blocks.get("search", absent)
    search = read_search(search_node, budget.epochs)
    resources = read_resources(blocks.get("resources", absent))
    final = read_final(blocks.get("final", absent), data.targets, budget.epochs)
    lengths = tuple(dict.fromkeys((budget.epochs, *final.epochs.values())))
    if models is None:
        from suite.registry import MODELS  # imports torch, which most mistakes need not wait for

        models = MODELS
    spaces, notes = read_models(blocks["models"], blocks.get("train"), models, lengths, search.design, only)
    check_combination(search_node, search, objective, spaces)
    if budget.trials is None and not search.listed:
        blocks["budget"].fail(f"missing key 'trials'; required with the sampler {search.sampler}")
    least = _starting_trials(spaces)
    if budget.trials == AUTO:
        budget = replace(budget, trials=least)
    if budget.trials is not None and budget.trials < least:
        more = " and the starting points after it" if least > len(spaces) else ""
        blocks["budget"].mapping()["trials"].fail(
            f"expected at least {least}, one for the published configuration of each model{more}, "
            f"got {budget.trials}"
        )
    if search.scheduler == "pbt":
        check_lengths(blocks, budget.trials, lengths, len(spaces))
    notes += search_notes(search, spaces)
    return SearchSpace(
        name=name,
        data=data,
        objective=objective,
        budget=budget,
        search=search,
        resources=resources,
        models=spaces,
        final=final,
        histograms=_histograms(blocks.get("tensorboard", absent)),
        text=text,
        overrides=tuple(overrides),
        content=_content(blocks["data"], data, objective, budget, search, spaces),
        notes=tuple(notes),
    )


def _budget(node: Node) -> BudgetSpec:
    block = node.block("budget", required=("epochs",))
    given = {key: entry for key, entry in block.items() if entry.value is not None}
    hours = {
        key: given[key].number("a number of hours above 0", above=0)
        for key in ("hours", "gpu_hours")
        if key in given
    }
    return BudgetSpec(
        trials=_trials(given.get("trials")),
        epochs=block["epochs"].whole(at_least=1),
        hours=hours.get("hours"),
        gpu_hours=hours.get("gpu_hours"),
        total_epochs=given["total_epochs"].whole(at_least=1) if "total_epochs" in given else None,
    )


def _histograms(node: Node) -> bool:
    block = node.block("tensorboard")
    return block["histograms"].truth() if "histograms" in block else False


def _starting_trials(models: Mapping[str, ModelSpace]) -> int:
    """Trials until each model has had its starting points; models take turns."""
    return max(
        (len(space.starts) - 1) * len(models) + place for place, space in enumerate(models.values(), start=1)
    )


def _trials(node: Node | None) -> int | None:
    if node is None:
        return None
    return AUTO if node.value == "auto" else node.whole(at_least=1)


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
            "split": {target: rule.plain() for target, rule in data.split.items()},
            **({} if data.subset is None else {"subset": data.subset}),
            **({} if data.train_crystals is None else {"train_crystals": data.train_crystals}),
            **({} if data.val_crystals is None else {"val_crystals": data.val_crystals}),
            **({} if data.cell == AS_GIVEN else {"cell": data.cell}),
        },
        "objective": objective,
        "budget": {"epochs": budget.epochs},
        "search": {
            key: value
            for key, value in asdict(search).items()
            if key != "concurrent" and value not in (None, ())
        }
        # A population does not grow later on: its generations are over.
        | ({"population": budget.trials} if search.scheduler == "pbt" else {}),
        "models": {
            key: {
                "recipe": space.recipe,
                "domains": {name: domain.plain() for name, domain in space.domains.items()},
                **({"conditions": space.conditions} if space.conditions else {}),
                "first": dict(space.first),
                **({"starts": [dict(point) for point in space.more_starts]} if space.more_starts else {}),
                **(
                    {"priors": {name: prior.plain() for name, prior in space.priors.items()}}
                    if space.priors
                    else {}
                ),
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
