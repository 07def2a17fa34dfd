"""From a YAML value to a constant or a domain, and whether a field of a configuration can take it."""

import types
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from suite.space.domains import Choice, Constant, Domain, Float, Integer
from suite.space.node import suggestion
from suite.space.scalars import is_number, shown

DOMAIN_KEYS = ("int", "float", "choices", "step", "log")
BESIDE_DOMAIN = ("when", "prior", "strength")  # of the same mapping, read elsewhere

_TYPE_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}


def parse_domain(value: Any) -> Constant | Domain:
    """The constant or domain that a YAML value stands for; `suite.space.domains` has the table.

    Raises:
        ValueError: what was expected, what came, the closest key.
    """
    if isinstance(value, list):
        inside = ", ".join(shown(item) for item in value)
        raise ValueError(
            f"expected a value or a range, got a list; to search its values write {{choices: [{inside}]}}"
        )
    if not isinstance(value, dict):
        return Constant(value)
    for key in value:
        if key not in DOMAIN_KEYS:
            raise ValueError(f"unknown key '{key}'{suggestion(str(key), DOMAIN_KEYS + BESIDE_DOMAIN)}")
    kinds = [kind for kind in ("int", "float", "choices") if kind in value]
    if len(kinds) != 1:
        got = " and ".join(kinds or value) or "an empty mapping"
        raise ValueError(
            f"expected one of {{int: [low, high]}}, {{float: [low, high]}}, {{choices: [...]}}, got {got}"
        )
    kind, items = kinds[0], value[kinds[0]]
    if kind == "choices":
        if not isinstance(items, list):
            raise ValueError(f"choices: expected a list, got {items!r}")
        for option in ("step", "log"):
            if option in value:
                raise ValueError(f"{option}: expected beside int or float only, got it beside choices")
        return Choice(tuple(items))
    if not isinstance(items, list) or len(items) != 2:
        raise ValueError(f"{kind}: expected [low, high], got {items!r}")
    if kind == "float" and any(isinstance(item, str) and _is_numeric(item) for item in items):
        raise ValueError(f"float: expected two numbers, got {items!r}; write numbers without quotes")
    log = value.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"log: expected true or false, got {log!r}")
    low, high = items
    if kind == "int":
        return Integer(low, high, value.get("step", 1), log)
    return Float(_as_float(low), _as_float(high), _as_float(value.get("step")), log)


@cache
def field_types(config: Any) -> Mapping[str, Any]:
    """The annotation of each field of a configuration class that a search space may set.

    `epochs` belongs to the budget, and `targets`, the number of outputs, to the data.
    """
    hints = get_type_hints(config)
    return {
        field.name: hints[field.name] for field in fields(config) if field.name not in ("epochs", "targets")
    }


def as_field(value: Any, hint: Any) -> Any:
    """A value as a field annotated `hint` stores it: an int becomes a float where only floats fit.

    Raises:
        ValueError: the value has another type; a float is no int, and true is neither.
    """
    allowed = _alternatives(hint)
    for kind in allowed:
        if get_origin(kind) is Literal:
            if any(value == word and type(value) is type(word) for word in get_args(kind)):
                return value
        elif type(value) is kind:
            return value
    if type(value) is int and float in allowed:
        return float(value)
    words = [str(word) for kind in allowed if get_origin(kind) is Literal for word in get_args(kind)]
    names = [_TYPE_NAMES.get(kind, str(kind)) for kind in allowed if get_origin(kind) is not Literal]
    expected = " or ".join(([f"one of {', '.join(words)}"] if words else []) + names)
    near = suggestion(value, words) if words and isinstance(value, str) else ""
    near = near.partition("; valid")[0]
    quoted = (
        "; write numbers without quotes"
        if not words and isinstance(value, str) and _is_numeric(value)
        else ""
    )
    raise ValueError(f"expected {expected}, got {value!r}{near}{quoted}")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union; a single type is a union of one."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _as_float(value: Any) -> Any:
    """A number as a float; anything else as it is, for `Float` to refuse."""
    return float(value) if is_number(value) else value


def _is_numeric(text: str) -> bool:
    try:
        return is_number(float(text))
    except ValueError:
        return False
