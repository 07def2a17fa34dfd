"""Reads the YAML of a search space into `Node`s: every key knows its line, every override its flag.

YAML 1.2 is read: `1e-4` is a number, `no` and `on` are text, `010` is ten. Anchors, aliases and
merge keys (`<<`) work. What YAML allows but a search space has no use for is refused with its line:
a key given twice, tags, several documents, infinite numbers.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from suite.space.include import KEY, standalone, with_includes
from suite.space.node import BLOCKS, Node, SpaceError, suggestion
from suite.space.scalars import Scalar

Place = Callable[[int], str]  # line, counted from 0 -> where it is, for messages


def read_space(path: Path, overrides: Sequence[str] = ()) -> tuple[str, Node]:
    """The text of a search-space file, which needs no other, and its content with the overrides
    `key.path=value` applied.

    Raises:
        SpaceError: the file cannot be read or is not a YAML mapping, or an override cannot be applied.
    """
    text, root = _read_file(path)
    included, root = with_includes(root, path, _read_file)
    if included:
        text = standalone(root, [text, *included])
    root = Node(root.value, str(path), "")  # a key missing from the whole file has no line
    for setting in overrides:
        apply_override(root, setting)
    return text, root


def apply_override(root: Node, setting: str) -> None:
    """Set one value of the tree in place from `key.path=value`, the value being YAML.

    A key the tree lacks is added; whether the grammar knows it is checked with all the others.
    """
    where = f"--set {setting}"
    key, equals, text = setting.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        raise SpaceError(f"{where}: expected key.path=value, such as budget.trials=8, got {setting!r}")
    path = ".".join(names)
    if names[0] == KEY:
        raise SpaceError(f"{where}: expected {KEY} in the file, whose other keys go before what it includes")
    value = parse_yaml(text, lambda line: where, path) or Node(None, where, path)
    node = root
    for depth, name in enumerate(names[:-1], start=1):
        assert isinstance(node.value, dict)
        child = node.value.get(name)
        if child is not None and isinstance(child.value, list):
            raise SpaceError(f"{where}: {child.path} is a list; set it as a whole, --set {child.path}=[...]")
        if child is None or not isinstance(child.value, dict):
            child = node.value[name] = Node({}, where, ".".join(names[:depth]))
        node = child
    assert isinstance(node.value, dict)
    node.value[names[-1]] = value


def parse_yaml(text: str, place: Place, path: str) -> Node | None:
    """One YAML document as a tree of nodes whose key paths begin with `path`; None if it is empty."""
    try:
        document = YAML(typ="safe", pure=True).compose(text)
        return (
            None if document is None else _convert(document, place, path, place(document.start_mark.line), ())
        )
    except MarkedYAMLError as error:
        raise SpaceError(_syntax_message(error, place)) from None
    except YAMLError as error:
        raise SpaceError(f"{place(0)}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise SpaceError(f"{place(0)}: expected a few levels of nesting, got hundreds") from None


def _read_file(path: Path) -> tuple[str, Node]:
    text = _read_text(path)
    root = parse_yaml(text, lambda line: f"{path}:{line + 1}", "")
    if root is None:
        raise SpaceError(f"{path}: the file is empty; expected the keys {', '.join(BLOCKS[''])}")
    if not isinstance(root.value, dict):
        root.expected("a mapping (name: ..., data: ...)")
    return text, root


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        others = sorted(file.name for file in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        hint = suggestion(path.name, others) if others else ""
        raise SpaceError(f"{path}: no such search-space file{hint}") from None
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpaceError(
            f"{path}:{line}: expected text in UTF-8, got the byte 0x{content[error.start]:02x}"
        ) from None


def _syntax_message(error: MarkedYAMLError, place: Place) -> str:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "unreadable"
    if (error.context or "").startswith("expected"):
        problem = f"{error.context} {error.problem}"
    if "\\t" in problem or "\t" in problem:
        problem = "a tab where YAML wants spaces"
    begun = error.context_mark
    if error.context and begun is not None and mark is not None and begun.line != mark.line:
        problem += f" ({error.context} begun in line {begun.line + 1})"
    return f"{place(mark.line if mark is not None else 0)}: not valid YAML: {problem}"


def _convert(node: YamlNode, place: Place, path: str, where: str, inside: tuple[YamlNode, ...]) -> Node:
    """The tree below a YAML node; `where` is the place of its key, `inside` the nodes around it."""
    if any(node is parent for parent in inside):
        raise SpaceError(f"{where}: {path}: the alias contains itself")
    inside = (*inside, node)
    if isinstance(node, ScalarNode):
        return Node(_scalar(node, where, path), where, path)
    if isinstance(node, SequenceNode):
        return Node(
            [
                _convert(item, place, f"{path}[{index}]", place(item.start_mark.line), inside)
                for index, item in enumerate(node.value)
            ],
            where,
            path,
        )
    assert isinstance(node, MappingNode)
    merged: dict[str, Node] = {}
    own: dict[str, Node] = {}
    for key_node, value_node in node.value:
        at = place(key_node.start_mark.line)
        if not isinstance(key_node, ScalarNode):
            Node(None, at, path).fail(f"expected a name before ':', got a {key_node.id}")
        key = key_node.value
        if key_node.tag == "tag:yaml.org,2002:merge":
            sources = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
            for source in sources:
                entries = _convert(source, place, path, at, inside)
                merged = {**entries.mapping(), **merged}
            continue
        if key in own:
            raise SpaceError(
                f"{at}: {_join(path, key)}: the key '{key}' is given twice (before: {own[key].where})"
            )
        own[key] = _convert(value_node, place, _join(path, key), at, inside)
    return Node({**merged, **own}, where, path)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _scalar(node: ScalarNode, where: str, path: str) -> Scalar:
    text = node.value
    match str(node.tag).removeprefix("tag:yaml.org,2002:"):
        case "null":
            return None
        case "bool":
            return text.lower() in ("true", "yes", "on")
        case "int":
            return _integer(text, where, path)
        case "float":
            number = float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
            if not math.isfinite(number):
                raise SpaceError(f"{where}: {path}: expected a finite number, got {text}")
            return number
        case "str" | "timestamp" | "merge":
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise SpaceError(
                    f"{where}: {path}: expected whole characters, got half of one (\\ud800 to \\udfff)"
                )
            return str(text)
        case tag:
            raise SpaceError(f"{where}: {path}: expected a plain value, got the YAML tag {tag}")


def _integer(text: str, where: str, path: str) -> int:
    base = 0 if text.lstrip("+-")[:2].lower() in ("0o", "0x", "0b") else 10
    try:
        number = int(text.replace("_", ""), base)
    except ValueError:  # sexagesimal numbers of YAML 1.1, or thousands of digits
        number = 2**63
    if abs(number) >= 2**63:
        raise SpaceError(f"{where}: {path}: expected a number of at most 64 bits, got {text[:40]}")
    return number
