"""A run in which every model of the registry was trained a little, for the tests of what follows a search."""

from pathlib import Path

import pytest
from built_once import built_once
from trained_run import TINY, write_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run; the crystals lie in `small.jsonl` two levels above."""
    folder = built_once(tmp_path_factory, "all models", lambda folder: write_run(folder, TINY))
    return folder / "runs" / "small"
