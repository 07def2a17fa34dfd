"""A worker's share of a machine: where it is, which device it has, and how much of its memory."""

import socket

import ray
import torch


def claim(gpu: float) -> str:
    """The device of this worker, whose GPUs Ray chose; a part of a GPU is also a bound on its memory.

    Ray's fractions are bookkeeping; the bound is what keeps a worker from taking its neighbours' memory.
    """
    if not gpu or not torch.cuda.is_available():
        return "cpu"
    torch.cuda.set_per_process_memory_fraction(min(gpu, 1.0))
    return "cuda"


def gpu_memory_mb(given_gb: float | None) -> float | None:
    """Memory of this worker's GPU: as found, else as given, else not known."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / 1e6
    return None if given_gb is None else given_gb * 1000


def whereabouts() -> str:
    """Host, Ray's node and the GPUs of this worker; "" outside of Ray."""
    if not ray.is_initialized():
        return ""
    gpus = ray.get_gpu_ids()
    node = ray.get_runtime_context().get_node_id()[:8]
    return f"{socket.gethostname()} {node}" + (f" gpu {','.join(map(str, gpus))}" if gpus else "")
