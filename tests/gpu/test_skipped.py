"""Says what is not tested where Triton is not installed."""

from importlib.util import find_spec

import pytest


@pytest.mark.skipif(find_spec("triton") is None, reason="the GPU kernel needs triton: make test-gpu")
def test_triton_is_there():
    assert find_spec("triton").origin
