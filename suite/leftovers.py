"""What killed processes leave in a run folder for nobody: half-written files, states of ended trials."""

from collections.abc import Collection
from pathlib import Path

from suite.run_folder import HOLDER


def remove_leftovers(folder: Path, ended: Collection[str]) -> None:
    """Remove them; to be called by the one process that writes the folder.

    Args:
        folder: the run folder.
        ended: ids of the trials that are over. A process that is killed just after the end of a trial was
            recorded leaves its checkpoint, several times the size of its weights, and its own name.
    """
    for partial in folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)
    for name in ("checkpoint.safetensors*", HOLDER):
        for file in (folder / "trials").glob(f"*/{name}"):
            if file.parent.name in ended:
                file.unlink(missing_ok=True)
