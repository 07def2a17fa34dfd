"""Tests of the GPU kernel: on a GPU where there is one, else in Triton's interpreter, on the CPU."""

import os
from importlib.util import find_spec

import pytest
import torch
from attention_cases import cell, image_list, inputs

__all__ = ["cell", "image_list", "inputs"]

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports the kernel


def pytest_ignore_collect(collection_path):
    """Where Triton is missing only `test_skipped.py` is left, which says so."""
    if find_spec("triton") is None:
        return collection_path.name.startswith("test_") and collection_path.name != "test_skipped.py"
    return None


@pytest.fixture(scope="session")
def device():
    """Where the kernel runs."""
    return "cuda" if torch.cuda.is_available() else "cpu"
