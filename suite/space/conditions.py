"""`when:`: parameters that exist only for some values of others.

A condition is a mapping of other searched parameters of the same model to the values with which the
parameter exists. It does not exist either where one of those does not.
"""

from collections.abc import Mapping

from suite.space.domains import Domain
from suite.space.node import Node
from suite.space.scalars import Scalar, shown

KEY = "when"
Conditions = Mapping[str, Mapping[str, tuple[Scalar, ...]]]  # parameter -> other -> values


def active_names(
    names: Mapping[str, object], conditions: Conditions, params: Mapping[str, Scalar]
) -> set[str]:
    """Which of the searched parameters exist, given values of all that may."""
    active = set(names)
    changed = True
    while changed:  # a parameter may drop out since another did
        gone = {
            name
            for name in active
            for other, values in conditions.get(name, {}).items()
            if other not in active or params.get(other) not in values
        }
        active -= gone
        changed = bool(gone)
    return active


def read_condition(name: str, node: Node, domains: Mapping[str, Domain]) -> dict[str, tuple[Scalar, ...]]:
    """The checked condition of a parameter; `domains` are all searched parameters of its model.

    Raises:
        SpaceError: it names a parameter that is not searched, itself, or a value that is never taken.
    """
    entries = node.mapping()
    if not entries:
        node.expected("a condition such as {frames: max}")
    condition = {}
    for other, entry in entries.items():
        if other == name or other not in domains:
            searched = tuple(known for known in domains if known != name)
            entry.unknown("searched parameter of this model", other, searched)
        values = entry.plain() if isinstance(entry.value, list) else [entry.plain()]
        for value in values:
            if value not in domains[other]:
                entry.fail(f"expected values of {other}, {domains[other]}, got {shown(value)}")
        condition[other] = tuple(values)
    return condition


def check_no_circle(conditions: Conditions, nodes: Mapping[str, Node]) -> None:
    """Raises SpaceError where parameters depend on each other in a circle."""
    for name in conditions:
        inside, queue = set(), list(conditions[name])
        while queue:
            other = queue.pop()
            if other == name:
                nodes[name].fail(f"the condition of {name} depends on {name} itself")
            if other not in inside:
                inside.add(other)
                queue += conditions.get(other, {})
