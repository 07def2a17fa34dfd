"""Where a search space lies, and the paths in it: relative to its file, or else to the current folder."""

import os
from pathlib import Path

from suite.space.node import Node

COLLECTION = "search_spaces"  # the folder of a clone, installed beside the packages


def space_path(path: Path) -> Path:
    """The path; for `search_spaces/NAME.yaml` where no such file is, the one that was installed."""
    if not path.exists() and path.parent == Path(COLLECTION):
        installed = Path(__file__).parents[2] / path
        return installed if installed.is_file() else path
    return path


def found_path(node: Node, what: str, folder: Path) -> Path:
    """The path that a node names, below `folder` or the current one.

    Raises:
        SpaceError: there is nothing there; `what` says what was expected.
    """
    given = Path(node.text("a path")).expanduser()
    # normpath: "search_spaces/../my.csv" would be refused where search_spaces is a link
    candidates = list(dict.fromkeys(Path(os.path.normpath(base / given)) for base in (folder, Path.cwd())))
    for path in candidates:
        if path.exists():
            return path
    node.fail(f"expected {what}, got {str(given)!r}; looked for {' and '.join(map(str, candidates))}")
