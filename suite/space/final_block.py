"""The `final` block: which configurations are trained again, over which seeds and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass

from suite.space.node import Node
from suite.space.search_block import seed_list


@dataclass(frozen=True)
class FinalSpec:
    """The final training: the best `top` configurations of each model, over `seeds`.

    `epochs` are those of each target. `floors`: whether the training mean and a forest of compositions stand
    beside them.
    """

    top: int
    seeds: tuple[int, ...]
    epochs: Mapping[str, int]
    floors: bool = True


def read_final(node: Node, targets: tuple[str, ...], epochs: int) -> FinalSpec:
    """The checked block; `epochs` are those of the budget."""
    block = node.block("final")
    return FinalSpec(
        top=block["top"].whole(at_least=1) if "top" in block else 1,
        seeds=seed_list(block["seeds"]) if "seeds" in block else (0, 1, 2),
        epochs=_epochs(block.get("epochs"), targets, epochs),
        floors=block["floors"].truth() if "floors" in block else True,
    )


def _epochs(node: Node | None, targets: tuple[str, ...], epochs: int) -> dict[str, int]:
    """One number for all targets, or a mapping with one for each."""
    if node is None or node.value is None:
        return dict.fromkeys(targets, epochs)
    if not isinstance(node.value, dict):
        return dict.fromkeys(targets, node.whole(at_least=1))
    for key, entry in node.value.items():
        if key not in targets:
            entry.unknown("target of this search", key, targets)
    for target in targets:
        if target not in node.value:
            node.fail(f"expected a number of epochs for each target, got none for '{target}'")
    return {target: node.value[target].whole(at_least=1) for target in targets}
