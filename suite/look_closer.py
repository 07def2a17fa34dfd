"""The commands that open what a search has left in other people's programs; right from any folder."""

import shlex
from pathlib import Path

from suite.storage_url import DEFAULT


def tensorboard_command(run: Path) -> str:
    """Learning curves, hyper-parameters and pictures of a run folder in TensorBoard."""
    return shlex.join(["tensorboard", "--logdir", str(run.resolve() / "tensorboard")])


def dashboard_command(run: Path, storage: str = DEFAULT) -> str:
    """The study of a run folder in the Optuna dashboard.

    Args:
        run: the run folder.
        storage: as in its search.json: a relative path is one in the run folder, a password is not there.
    """
    kind, _, place = storage.partition("://")
    path = run.resolve() / place.removeprefix("/")
    if kind == "journal":
        return shlex.join(["optuna-dashboard", "--storage-class", "JournalFileStorage", str(path)])
    if kind == "sqlite":
        return shlex.join(["optuna-dashboard", f"sqlite:///{path}"])
    # The driver that the suite has; the password comes from PGPASSWORD or ~/.pgpass, as in the search.
    return shlex.join(["optuna-dashboard", f"postgresql+psycopg://{place.replace(':***@', '@')}"])
