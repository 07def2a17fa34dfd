"""`Estimate`: what a configuration is expected to need, and how a dry run shows it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """From a measured step, see `suite.probe`.

    Attributes:
        memory_mb: of the process at its peak, or of the GPU where there is one.
        disk_mb: of a trial while it runs, mostly its checkpoint.
        weights_mb: of the model, as a final run keeps it.
        trial_s: of all epochs with their evaluation, unless it is stopped early.
        gpu: the part of a GPU that follows; None: no GPU, or its memory is not known.
    """

    memory_mb: float
    disk_mb: float
    weights_mb: float
    trial_s: float
    gpu: float | None


def estimate_cells(estimate: Estimate | None) -> tuple[str, ...]:
    """Memory, disk, time of a trial and part of a GPU, as a table shows them."""
    if estimate is None:
        return ("-",) * 4
    gpu = "-" if estimate.gpu is None else "1" if estimate.gpu == 1 else f"1/{round(1 / estimate.gpu)}"
    return megabytes(estimate.memory_mb), megabytes(estimate.disk_mb), period(estimate.trial_s), gpu


def megabytes(size: float) -> str:
    """A size in MB for people: 3.1 MB, 420 MB, 1.5 GB."""
    return f"{size / 1000:.1f} GB" if size >= 1000 else f"{size:.0f} MB" if size >= 10 else f"{size:.1f} MB"


def period(seconds: float) -> str:
    """A time for people: 3.1 s, 42 s, 7 min, 3.5 h, 4 d."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            count = seconds / length
            return f"{count:.1f} {unit}" if count < 10 else f"{count:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
