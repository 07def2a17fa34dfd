"""The smallest even part of a GPU that holds a configuration."""

HEAD_ROOM = 1.2  # of what was measured: fragments, and batches that are larger in another way
CONTEXT_MB = 600.0  # of every process on a GPU: CUDA and its libraries, beside its tensors
MOST_PARTS = 16


def part_of_gpu(measured_mb: float, total_mb: float) -> float:
    """1/k with the largest k, at most 16, whose part of the memory holds what was measured and some room.

    Args:
        measured_mb: peak of a process's tensors.
        total_mb: memory of the GPU.

    Returns:
        1.0 also where the whole GPU is too small: the trial then says so itself.
    """
    needed = measured_mb * HEAD_ROOM + CONTEXT_MB
    parts = int(total_mb // needed)
    return 1.0 / min(max(parts, 1), MOST_PARTS)


def larger(part: float) -> float:
    """About twice as large an even part."""
    return 1.0 / max(round(1 / part) // 2, 1)
