"""A run in which every model of the registry was trained a little, for the tests of what follows a search."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def run(run_of_all_models: Path) -> Path:
    """The folder of the run."""
    return run_of_all_models
