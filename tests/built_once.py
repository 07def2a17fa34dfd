"""A folder that costs much to build: built by the first who asks, read by all workers of a session."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """The folder of this name, which `build` has filled; whoever would change it copies it first."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all workers
    folder, built = base / name, base / f"{name}.built"
    with FileLock(base / f"{name}.lock"):
        if not built.exists():
            assert not folder.exists(), f"{folder} could not be built: see the first test that needed it"
            folder.mkdir()
            build(folder)
            built.touch()
    return folder
