"""What a name or path means: a run, an exported folder, or a model that comes with the package."""

from importlib.resources import files
from pathlib import Path

from suite.prediction.exported import CONFIG, read_exported
from suite.prediction.predictor import Predictor
from suite.prediction.saved import TrainedTarget, UnusableModel

PRETRAINED = Path(str(files("suite"))) / "pretrained"


def load(path: str | Path, model: str | None = None) -> Predictor:
    """See `suite.load`."""
    return Predictor(read_targets(path, model))


def read_targets(path: str | Path, model: str | None = None) -> list[TrainedTarget]:
    """The trained targets behind a name or path; see `suite.load`.

    Raises:
        UnusableModel: nothing there, or nothing that can be used.
    """
    folder = Path(path)
    if not folder.exists() and str(path) in pretrained():
        folder = PRETRAINED / path
    if (folder / CONFIG).is_file():
        return read_exported(folder, model)
    if (folder / "search.json").is_file():
        from suite.prediction.finished_run import read_run  # brings pandas

        return read_run(folder, model)
    got = "nothing of that name"
    if folder.exists():
        got = "a file" if folder.is_file() else f"a folder with neither search.json nor {CONFIG}"
    raise UnusableModel(
        f"{path}: expected a run (runs/<name>), an exported folder or the name of a model that comes with "
        f"the package ({', '.join(pretrained()) or 'there is none'}), got {got}"
    )


def pretrained() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CONFIG}"))
