"""Settings of a whole session of tests."""

import os
import sys

import pytest

# Ray's workers yield to everything else; here, a test waits for them while another one computes.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Small tensors gain nothing from more threads, and the other cores have tests of their own.

    A module that does without PyTorch is not made to import it.
    """
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
