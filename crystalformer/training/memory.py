"""Is an error a lack of memory, of the host or of a device? Libraries say so in different ways."""

import torch

_SIGNS = (  # in messages of general errors, in lower case
    "out of memory",  # CUDA, NCCL, Ray
    "can't allocate memory",  # DefaultCPUAllocator of PyTorch on Linux
    "cannot allocate memory",  # the system's ENOMEM
    "not enough memory",  # DefaultCPUAllocator elsewhere
    "unable to allocate",  # NumPy, HDF5
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED and its like
)


def out_of_memory(error: BaseException) -> bool:
    """Whether the error, or what it was raised from, says that memory was lacking."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(seen, RuntimeError | OSError) and any(sign in str(seen).lower() for sign in _SIGNS):
            return True
        seen = seen.__cause__
    return False


def give_back(device: str) -> None:
    """Return cached device memory, so that a smaller attempt does not fail for fragments of a larger one."""
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
