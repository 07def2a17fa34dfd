"""`include:`: blocks that several search spaces share, from files of their own."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from ruamel.yaml import YAML

from suite.space.node import Node, SpaceError

KEY = "include"


def with_includes(
    root: Node, path: Path, read: Callable[[Path], tuple[str, Node]], inside: tuple[Path, ...] = ()
) -> tuple[list[str], Node]:
    """The texts of the files that a search space includes, and its tree with their entries.

    `include` is a path or a list of paths, relative to the file that names them. Mappings are merged key by
    key; what a file says itself goes before what it includes, and a later included file before an earlier.

    Args:
        root: the content of the file `path`.
        path: where it lies.
        read: reads another file: path -> text and tree.
        inside: the files around it.

    Raises:
        SpaceError: a file cannot be read or includes itself.
    """
    entries = dict(root.mapping())
    node = entries.pop(KEY, None)
    inside = (*inside, path.resolve())
    texts: list[str] = []
    merged = Node({}, root.where, root.path)
    if node is not None:
        listed = node.value if isinstance(node.value, list) else [node]
        for entry in listed:
            other = path.parent / entry.text("the path of a file or a list of paths")
            if other.resolve() in inside:
                entry.fail(f"{other} includes itself")
            try:
                text, content = read(other)
            except SpaceError as error:
                entry.fail(str(error))
            inner, content = with_includes(content, other, read, inside)
            texts += [*inner, text]
            merged = _merged(content, merged)
    return texts, _merged(Node(entries, root.where, root.path), merged)


def standalone(merged: Node, texts: Sequence[str]) -> str:
    """A file that says by itself what files say together; `texts` of these stand below it, as comments.

    It is what an experiment records: read from another folder, or later, the files may not be there.
    """
    content = io.StringIO()
    YAML(typ="rt", pure=True).dump(merged.plain(), content)
    comments = [f"# {line}".rstrip() for text in texts for line in ("", "Merged from:", *text.splitlines())]
    return content.getvalue() + "\n".join(comments) + "\n"


def _merged(own: Node, included: Node) -> Node:
    """Mappings key by key; anything else as `own` has it."""
    if not isinstance(own.value, dict) or not isinstance(included.value, dict):
        return own
    entries = dict(included.value)
    for key, node in own.value.items():
        entries[key] = _merged(node, entries[key]) if key in entries else node
    return Node(entries, own.where, own.path)
