"""What killed processes leave in a run folder for nobody: half-written files, states of ended trials."""

from collections.abc import Collection
from pathlib import Path


def remove_leftovers(folder: Path, ended: Collection[str]) -> None:
    """Remove them; to be called by the one process that writes the folder.

    Args:
        folder: the run folder.
        ended: ids of the trials that are over. A search that is killed just after it recorded the end of a
            trial leaves its checkpoint, several times the size of its weights.
    """
    for partial in folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)
    for checkpoint in (folder / "trials").glob("*/checkpoint.safetensors*"):
        if checkpoint.parent.name in ended:
            checkpoint.unlink(missing_ok=True)
