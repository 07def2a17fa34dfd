"""Search and comparison: from a YAML file to trained models and a record of everything between.

Reading order: `space/` (what is searched), `models` (the registry), `prepare` (data and splits), `trial` (one
training run), `ledger` (the record of a search, and who is next), `sampling` (proposals), `ray_driver/` (who
carries it out), `final` (retrained models; the test split), `floors` (what stands beside them), `experiment`
(the folder), `crystals` (what reports say of the crystals), `stages` (the order of things), `search` (the
command line). Afterwards: `prediction/` (what trained models say of new crystals; `load` is the way in),
`predict` and `export` (their command lines).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from suite.prediction.predictor import Predictor


def load(path: "str | Path", model: str | None = None) -> "Predictor":
    """A trained model that predicts new crystals.

    Args:
        path: a run (`runs/<name>`), a folder written by `python -m suite.export`, or the name of a model that
            comes with the package (`python -m suite.predict --list`).
        model: key of the registry; None: for each target the model that is best on validation.

    Raises:
        ValueError: nothing there, an unfinished run, another model, damaged weights.
    """
    from suite.prediction.locate import load as load_predictor

    return load_predictor(path, model)
