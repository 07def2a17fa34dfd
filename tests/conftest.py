"""Settings of a whole session of tests."""

import os
import sys
from pathlib import Path

import pytest
from built_once import built_once
from type_checks import check_shapes

check_shapes()  # before a test or a conftest imports what it tests

# Ray's workers yield to everything else; here, a test waits for them while another one computes.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that run searches are marked and may take long; files of them come first, so that the last
    test that is waited for is a short one."""
    for item in items:
        if "search_command" in getattr(item, "fixturenames", ()):
            item.add_marker("searches")
        if item.get_closest_marker("searches"):
            item.add_marker(pytest.mark.timeout(900))
    searches = {item.path for item in items if item.get_closest_marker("searches")}
    items.sort(key=lambda item: item.path not in searches)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Small tensors gain nothing from more threads, and the other cores have tests of their own.

    A module that does without PyTorch is not made to import it.
    """
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def run_of_all_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which every model of the registry was trained a little; its crystals lie in `small.jsonl` two
    levels above.
    """
    import torch  # slow to import, and most tests of reports do without
    from trained_run import TINY, write_run

    torch.set_num_threads(1)
    folder = built_once(tmp_path_factory, "all models", lambda folder: write_run(folder, TINY))
    return folder / "runs" / "small"
