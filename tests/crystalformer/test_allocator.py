"""Memory that a process keeps: large tensors stop costing page faults."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from crystalformer.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.zeros(12_000_000).add_(1)
before = faults()
for _ in range(20):
    torch.zeros(12_000_000).add_(1)
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_freed_memory_is_used_again() -> None:
    def faults(mode: str) -> int:
        output = subprocess.run(
            [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True, timeout=120
        )
        return int(output.stdout)

    assert faults("keep") < faults("default") / 10
