"""The `resources` block: what one trial gets of the machines."""

from dataclasses import dataclass
from typing import Literal

from suite.space.node import Node

_MOST_IDLE = 0.02  # of a GPU, where it is divided: 0.33 is a third


@dataclass(frozen=True)
class ResourcesSpec:
    """What one trial gets.

    Attributes:
        cpu: cores, of all its processes together.
        gpu: GPUs of all its processes together, or the part of one; "auto": the part that its memory needs.
        processes: that train it together, data-parallel, each on a GPU of its own where it has any.
        gpu_memory_gb: of a GPU, for planning on machines without one; None: as found.
    """

    cpu: float
    gpu: float | Literal["auto"]
    processes: int = 1
    gpu_memory_gb: float | None = None


def read_resources(node: Node) -> ResourcesSpec:
    """The checked `resources` block.

    Raises:
        SpaceError: a value is impossible, or two keys say different things.
    """
    block = node.block("resources")
    gpu, processes = _gpu(block.get("gpu")), 1
    if (several := block.get("gpus_per_trial")) is not None:
        for key in ("gpu", "processes_per_trial"):
            if key in block:
                block[key].fail("expected one of gpu, gpus_per_trial and processes_per_trial")
        processes = several.whole(at_least=1)
        gpu = float(processes)
    if (several := block.get("processes_per_trial")) is not None:
        processes = several.whole(at_least=1)
        if processes > 1 and "gpu" in block and gpu != 0:
            several.fail("expected gpu: 0 beside processes_per_trial; for several GPUs write gpus_per_trial")
        gpu = 0.0 if processes > 1 else gpu
    memory = block.get("gpu_memory")
    return ResourcesSpec(
        cpu=_cpu(block.get("cpu"), processes),
        gpu=gpu,
        processes=processes,
        gpu_memory_gb=None if memory is None else memory.number("a number of GB above 0", above=0),
    )


def _cpu(node: Node | None, processes: int) -> float:
    if node is None:
        return float(processes)
    cpu = node.number("a number of cores above 0", above=0)
    if processes > 1 and cpu < processes:
        node.expected(f"at least the {processes} processes of a trial, which share its cores")
    return cpu


def _gpu(node: Node | None) -> float | Literal["auto"]:
    if node is None or node.value == "auto":
        return "auto"
    gpu = node.number("auto, 0, 1 or a part of a GPU such as 0.5", at_least=0)
    if gpu > 1:
        node.expected("at most 1 GPU; to spread a trial over several, write gpus_per_trial")
    if 0 < gpu < 1 and 1 - int(1 / gpu + 1e-9) * gpu > _MOST_IDLE:
        idle = 1 - int(1 / gpu + 1e-9) * gpu
        node.expected(f"a part that divides a GPU evenly, such as 0.5 or 0.25 ({idle:.0%} would lie idle)")
    return gpu
