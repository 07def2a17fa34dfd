"""A run in which every model of the registry was trained a little, for the tests of what follows a search."""

from pathlib import Path

import pytest
import torch
from built_once import built_once
from trained_run import TINY, write_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run; the crystals lie in `small.jsonl` two levels above."""

    def train(folder: Path) -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # such small models are slower with more
        try:
            write_run(folder, TINY)
        finally:
            torch.set_num_threads(threads)

    return built_once(tmp_path_factory, "all models", train) / "runs" / "small"
