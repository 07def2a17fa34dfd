"""A model's block in an ablation: a `reference` configuration, and the `factors` that are changed in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from suite.space.node import Node, suggestion

KEYS = ("reference", "factors", "recipe")
ONE_AT_A_TIME = "one-at-a-time"
DESIGNS = (ONE_AT_A_TIME, "factorial")


@dataclass(frozen=True)
class AblationBlock:
    """The parts of the block: parameters of the reference, and each factor's list of values; and the design,
    one of DESIGNS, that says whether changes are combined.
    """

    design: str
    reference: Mapping[str, Node]
    factors: Mapping[str, Node]


def read_ablation(block: Node, design: str) -> AblationBlock:
    """The checked parts; what the values mean is for the model to say.

    Raises:
        SpaceError: another key, no factor, or a factor that is no list of different values.
    """
    entries = block.mapping()
    for key, node in entries.items():
        if key not in KEYS:
            node.fail(f"unknown key '{key}' of an ablation{suggestion(key, KEYS)}")
    if "factors" not in entries or not entries["factors"].mapping():
        block.fail("expected factors, such as factors: {num_layers: [2, 4, 7]}")
    factors = entries["factors"].mapping()
    for node in factors.values():
        node.distinct("a list of values, such as [2, 4, 7]")
    reference = dict(entries["reference"].mapping()) if "reference" in entries else {}
    if "recipe" in entries:
        reference["recipe"] = entries["recipe"]
    return AblationBlock(design, reference, factors)
