"""`prior:`: the value of a searched parameter that is believed to be good, and how strongly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from suite.space.domains import Constant, Domain
from suite.space.node import Node
from suite.space.scalars import Scalar, shown

KEYS = ("prior", "strength")
STRENGTH = 0.5


@dataclass(frozen=True)
class Prior:
    """A belief: with probability `strength` a first proposal lies near `value`, else anywhere."""

    value: Scalar
    strength: float = STRENGTH

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {"value": self.value, "strength": self.strength}

    def __str__(self) -> str:
        return f"prior {shown(self.value)} (strength {shown(self.strength)})"


def read_prior(name: str, entries: Mapping[str, Node], domain: Constant | Domain) -> Prior:
    """The checked prior of a parameter, from the keys `prior` and `strength` beside its domain.

    Raises:
        SpaceError: a strength alone, one that is no probability, or a value outside the domain.
    """
    if "prior" not in entries:
        entries["strength"].fail("expected beside a prior")
    node = entries["prior"]
    value = node.plain()
    if isinstance(domain, Constant) or value not in domain:
        node.fail(f"expected a value of {name}, {domain}, got {node.shown()}")
    strength = STRENGTH
    if "strength" in entries:
        strength = entries["strength"].number("a number above 0 and below 1", above=0)
        if strength >= 1:
            entries["strength"].expected("a number above 0 and below 1")
    return Prior(domain.clip(value), strength)


def read_starts(
    node: Node | None,
    first: Mapping[str, Scalar],
    domains: Mapping[str, Domain],
    constants: Mapping[str, Any],
) -> list[tuple[Node, dict[str, Scalar]]]:
    """The further starting points of a model (`first:`), with the value of every searched parameter.

    What an entry does not mention is as in the published configuration, `first`.

    Raises:
        SpaceError: no list of mappings, a parameter that is not searched, or a value outside its domain.
    """
    if node is None:
        return []
    if not isinstance(node.value, list) or not node.value:
        node.expected("a list of configurations such as [{lr: 0.001}]")
    points = []
    for entry in node.value:
        values = entry.mapping()
        if not values:
            entry.expected("a configuration such as {lr: 0.001}")
        for name, given in values.items():
            if name in constants:
                given.fail(f"{name} is not searched, but fixed at {shown(constants[name])}")
            if name not in domains:
                given.unknown("searched parameter of this model", name, tuple(domains))
            if given.plain() not in domains[name]:
                given.fail(f"expected a value of {name}, {domains[name]}, got {given.shown()}")
        chosen = {name: domains[name].clip(given.plain()) for name, given in values.items()}
        points.append((entry, {**first, **chosen}))
    return points
